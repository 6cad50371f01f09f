/** `multibinder upgrade`: makes a running binder or wrapper become the binary on disk. */

import { EXIT } from "../errors.ts";
import { escapeControls } from "../escape.ts";
import { print } from "./output.ts";
import { SOCK } from "./shared_options.ts";
import { defineSubcommand } from "./subcommand.ts";
import { connectTo, NAME, NAMES } from "./target.ts";
import { duration } from "./values.ts";

const OUTCOME = `
The pid, the sockets and the clients stay. The binary that the process was started
from is checked first; when that fails, the old version goes on and the reason is
told. The same as SIGUSR1, but with an answer.
`;

export const subcommand = defineSubcommand({
  name: "upgrade",
  about: "upgrade a binder or a wrapper in place",
  argument: NAME,
  options: {
    sock: SOCK,
    timeout: {
      placeholder: "TIME",
      about: "to wait for the outcome",
      read: duration,
      default: "30s",
    },
  },
  talksTo: "either",
  sections: { "Outcome": OUTCOME, "Which one": NAMES },
  examples: [
    "multibinder upgrade",
    "multibinder upgrade site",
    "multibinder upgrade --sock /run/site/control.sock",
  ],
  async run({ options, words }) {
    using client = await connectTo(options.sock, words, "either", options.timeout);
    const outcome = await client.call("upgrade", []);
    print(`${escapeControls(messageIn(outcome))}\n`);
    return EXIT.ok;
  },
});

function messageIn(outcome: unknown): string {
  const isOutcome = typeof outcome === "object" && outcome !== null && "message" in outcome;
  return isOutcome ? String(outcome.message) : "upgraded";
}
