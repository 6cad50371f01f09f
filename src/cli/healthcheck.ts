/** `multibinder healthcheck`: whether a binder or a wrapper answers. */

import { EXIT, UserError } from "../errors.ts";
import { escapeControls } from "../escape.ts";
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
  exitCodes: {
    "0": "it answers, and a binder holds all addresses of its command line",
    "1": "it does not; one line says why",
  },
  examples: [
    "multibinder healthcheck",
    'HEALTHCHECK CMD ["/usr/local/bin/multibinder", "healthcheck", "--timeout", "2s"]',
  ],
  async run({ options }) {
    const missing = missingIn(await request(this, options.sock, "status", options.timeout));
    if (missing.length === 0) return EXIT.ok;
    throw new UserError(
      `the binder at ${options.sock} does not hold ${escapeControls(missing.join(", "))}: ` +
        "somebody else has it, or may still hand it back; the binder's log says more",
    );
  },
});

/** The addresses of a binder's command line that it does not hold. A wrapper and an older binder tell none. */
function missingIn(status: unknown): string[] {
  const isObject = typeof status === "object" && status !== null;
  return isObject && "missing" in status && Array.isArray(status.missing)
    ? status.missing.map(String)
    : [];
}
