/** `multibinder healthcheck`: whether a binder answers. */

import { PEERS } from "../control/peer.ts";
import { EXIT } from "../errors.ts";
import { addSockOption, createCommand, duration, parse, request } from "./options.ts";

const HELP = `
Exit code: 0 when the binder answers, 1 when it is gone or hangs, with one line that says why.

Examples:
  multibinder healthcheck
  HEALTHCHECK CMD ["/multibinder", "healthcheck", "--timeout", "2s"]
`;

/**
 * Runs the subcommand.
 * @returns the exit code
 * @throws {NoBinderError} when the binder is not well
 */
export async function run(args: readonly string[]): Promise<number> {
  const command = addSockOption(createCommand("healthcheck", "Tell whether a binder answers."))
    .option("--timeout <time>", "for the answer (default: 3s)", duration)
    .addHelpText("after", HELP)
    .action(async (options) => {
      await request(options, PEERS.either, "status", options.timeout ?? 3000);
    });
  await parse(command, args);
  return EXIT.ok;
}
