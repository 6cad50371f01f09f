/** `multibinder status`: what a binder or a wrapper holds and does. */

import { setColorEnabled } from "@std/fmt/colors";
import { EXIT } from "../errors.ts";
import { print, printJson } from "./output.ts";
import { SOCK } from "./shared_options.ts";
import { describeStatus } from "./status_text.ts";
import { defineSubcommand } from "./subcommand.ts";
import { connectTo, NAME, NAMES } from "./target.ts";

const ANSWER = `
With --json the answer is printed as it came: members are added over time, never
renamed.
`;

export const subcommand = defineSubcommand({
  name: "status",
  about: "show what a binder or a wrapper holds and does",
  argument: NAME,
  options: { sock: SOCK, json: { about: "print it as JSON" } },
  sections: { "Answer": ANSWER, "Which one": NAMES },
  examples: [
    "multibinder status",
    "multibinder status site",
    "multibinder status --sock /run/site/control.sock --json",
  ],
  async run({ options, words }) {
    using client = await connectTo(options.sock, words, "either");
    const status = await client.call("status", []);
    setColorEnabled(Deno.stdout.isTerminal());
    if (options.json) printJson(status, 2);
    else print(describeStatus(status));
    return EXIT.ok;
  },
});
