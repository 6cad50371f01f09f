/** `multibinder reload`: reloads a wrapper's server, or a binder's config, and says how that went. */

import { EXIT } from "../errors.ts";
import { escapeControls } from "../escape.ts";
import { print } from "./output.ts";
import { request } from "./request.ts";
import { defineSubcommand } from "./subcommand.ts";
import { duration } from "./values.ts";

const OUTCOME = `
A wrapper answers once the new generation serves, and fails with the reason if it does
not: the old one goes on serving then. A binder reads its config file again, and
answers what that has changed.
`;

export const subcommand = defineSubcommand({
  name: "reload",
  about: "reload a wrapper's server, or a binder's config, and wait",
  options: {
    sock: {
      placeholder: "PATH",
      about: "the control socket: a wrapper's --control, a binder's --sock",
      environment: "MULTIBINDER_SOCK",
      required: true,
    },
    timeout: {
      placeholder: "TIME",
      about: "to wait for the outcome",
      read: duration,
      default: "2m",
    },
  },
  talksTo: "either",
  sections: { "Outcome": OUTCOME },
  examples: [
    "multibinder reload --sock /run/site/control.sock",
    "multibinder reload --sock /run/multibinder.sock",
  ],
  async run({ options }) {
    const outcome = await request(this, options.sock, "reload", options.timeout);
    print(`${escapeControls(String(outcome))}\n`);
    return EXIT.ok;
  },
});
