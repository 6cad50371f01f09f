/** `multibinder healthcheck`: whether a binder or a wrapper answers. */

import { EXIT, UserError } from "../errors.ts";
import { escapeControls } from "../escape.ts";
import { SOCK } from "./shared_options.ts";
import { defineSubcommand } from "./subcommand.ts";
import { connectTo, NAME, NAMES } from "./target.ts";
import { duration } from "./values.ts";

const STRICT = `
Unhealthy as well is a binder with an address that nobody serves while clients have
waited for longer than its --unserved-after, one whose queue is more than 80 % full, or
whose connections the kernel has dropped in the last minute; and a wrapper none of
whose generations serves.
`;

export const subcommand = defineSubcommand({
  name: "healthcheck",
  about: "tell whether a binder or a wrapper answers",
  argument: NAME,
  options: {
    sock: SOCK,
    strict: { about: "fail as well where clients wait unserved" },
    timeout: {
      placeholder: "TIME",
      about: "how long to wait for the answer",
      read: duration,
      default: "3s",
    },
  },
  sections: { "What --strict adds": STRICT, "Which one": NAMES },
  exitCodes: {
    "0": "it answers, and a binder holds all addresses of its command line",
    "1": "it does not; one line says why",
  },
  examples: [
    "multibinder healthcheck",
    'HEALTHCHECK CMD ["multibinder", "healthcheck", "--timeout", "2s"]',
  ],
  async run({ options, words }) {
    using client = await connectTo(options.sock, words, "either", options.timeout);
    const status = await client.call("status", []);
    const missing = missingIn(status);
    const troubles = options.strict ? troublesIn(status) : [];
    if (missing.length + troubles.length === 0) return EXIT.ok;
    if (missing.length === 0) throw new UserError(escapeControls(troubles.join("; ")));
    throw new UserError(
      `the binder at ${options.sock} does not hold ${escapeControls(missing.join(", "))}: ` +
        "somebody else has it, or may still hand it back; the binder's log says more",
    );
  },
});

/** The addresses of a binder's command line that it does not hold. A wrapper and an older binder tell none. */
function missingIn(status: unknown): string[] {
  return listIn(status, "missing").map(String);
}

/** What is wrong besides, a sentence each. */
function troublesIn(status: unknown): string[] {
  const troubles = listIn(status, "troubles")
    .map((one) => isMembers(one) ? String(one.message) : String(one));
  const generations = listIn(status, "generations").filter(isMembers);
  const isWrapper = isMembers(status) && status.role === "wrapper";
  return isWrapper && !generations.some(({ state }) => state === "serving")
    ? [...troubles, "no generation of the server serves"]
    : troubles;
}

function listIn(status: unknown, name: string): unknown[] {
  const list = isMembers(status) ? status[name] : undefined;
  return Array.isArray(list) ? list : [];
}

function isMembers(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
