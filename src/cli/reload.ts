/** `multibinder reload`: reloads a wrapper's server, or a binder's config, and says how that went. */

import { EXIT } from "../errors.ts";
import { escapeControls } from "../escape.ts";
import { print } from "./output.ts";
import { SOCK } from "./shared_options.ts";
import { defineSubcommand } from "./subcommand.ts";
import { connectTo, NAME, NAMES } from "./target.ts";
import { duration } from "./values.ts";

const OUTCOME = `
A wrapper answers once the new generation serves, and fails with the reason if it does
not: the old one goes on serving then. A binder reads its config file again, and
answers what that has changed.
`;

export const subcommand = defineSubcommand({
  name: "reload",
  about: "reload a wrapper's server, or a binder's config, and wait",
  argument: NAME,
  options: {
    sock: SOCK,
    timeout: {
      placeholder: "TIME",
      about: "to wait for the outcome",
      read: duration,
      default: "2m",
    },
  },
  talksTo: "either",
  sections: { "Outcome": OUTCOME, "Which one": NAMES },
  examples: [
    "multibinder reload site",
    "multibinder reload --sock /run/site/control.sock",
    "multibinder reload --sock /run/multibinder.sock",
  ],
  async run({ options, words }) {
    using client = await connectTo(options.sock, words, "either", options.timeout);
    const outcome = await client.call("reload", []);
    print(`${escapeControls(String(outcome))}\n`);
    return EXIT.ok;
  },
});
