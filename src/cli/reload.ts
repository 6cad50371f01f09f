/** `multibinder reload`: reloads a wrapper's server and says how that went. */

import { EXIT } from "../errors.ts";
import { escapeControls } from "../escape.ts";
import { print } from "./output.ts";
import { request } from "./request.ts";
import { defineSubcommand } from "./subcommand.ts";
import { duration } from "./values.ts";

const OUTCOME = `
It answers once the new generation serves, and fails with the reason if it does not:
the old one goes on serving then.
`;

export const subcommand = defineSubcommand({
  name: "reload",
  about: "reload a wrapper's server, and wait for the outcome",
  options: {
    sock: {
      placeholder: "PATH",
      about: "the wrapper's control socket, as its --control names it",
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
  talksTo: "wrapper",
  sections: { "Outcome": OUTCOME },
  examples: ["multibinder reload --sock /run/site/control.sock"],
  async run({ options }) {
    const outcome = await request(this, options.sock, "reload", options.timeout);
    print(`${escapeControls(String(outcome))}\n`);
    return EXIT.ok;
  },
});
