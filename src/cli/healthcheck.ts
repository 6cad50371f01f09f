/** `multibinder healthcheck`: whether a binder or a wrapper answers. */

import { EXIT } from "../errors.ts";
import { request } from "./request.ts";
import { SOCK } from "./shared_options.ts";
import { defineSubcommand } from "./subcommand.ts";
import { duration } from "./values.ts";

export const subcommand = defineSubcommand({
  name: "healthcheck",
  about: "tell whether a binder or a wrapper answers",
  options: {
    sock: SOCK,
    timeout: { placeholder: "TIME", about: "for the answer", read: duration, default: "3s" },
  },
  talksTo: "either",
  exitCodes: { "0": "it answers", "1": "it is gone or hangs; one line says why" },
  examples: [
    "multibinder healthcheck",
    'HEALTHCHECK CMD ["/usr/local/bin/multibinder", "healthcheck", "--timeout", "2s"]',
  ],
  async run({ options }) {
    await request(this, options.sock, "status", options.timeout);
    return EXIT.ok;
  },
});
