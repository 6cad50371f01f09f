/** `multibinder metrics`: what a binder or a wrapper counts and measures, for Prometheus. */

import { EXIT, UserError } from "../errors.ts";
import { escapeControls } from "../escape.ts";
import { print } from "./output.ts";
import { SOCK } from "./shared_options.ts";
import { defineSubcommand } from "./subcommand.ts";
import { connectTo, NAME, NAMES } from "./target.ts";

const FORMAT = `
Prometheus's text format, as --metrics of bind and exec serves it over HTTP. Written
to a file, it is for the textfile collector of Prometheus's node exporter.
`;

export const subcommand = defineSubcommand({
  name: "metrics",
  about: "print what a binder or a wrapper counts, for Prometheus",
  argument: NAME,
  options: { sock: SOCK },
  sections: { "Format": FORMAT, "Which one": NAMES },
  examples: ["multibinder metrics", "multibinder metrics site"],
  async run({ options, words }) {
    using client = await connectTo(options.sock, words, "either");
    const text = await client.call("metrics", []);
    if (typeof text !== "string") throw new UserError("the answer is no text");
    // Labels may hold anything. A file gets them as they are.
    const lines = Deno.stdout.isTerminal() ? text.split("\n").map(escapeControls) : [text];
    print(lines.join("\n"));
    return EXIT.ok;
  },
});
