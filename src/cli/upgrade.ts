/** `multibinder upgrade`: makes a running binder or wrapper become the binary on disk. */

import { PEERS } from "../control/peer.ts";
import { EXIT } from "../errors.ts";
import { addSockOption, createCommand, duration, parse, print, request } from "./options.ts";

const HELP = `
The pid, the sockets and the clients stay. The binary that the process was started from is
checked first; when that fails, the old version goes on and the reason is told. The same as
SIGUSR1, but with an answer.
`;

/** Runs the subcommand. @returns the exit code */
export async function run(args: readonly string[]): Promise<number> {
  const command = addSockOption(createCommand("upgrade", "Upgrade a binder or a wrapper in place."))
    .option("--timeout <time>", "to wait for the outcome (default: 30s)", duration)
    .addHelpText("after", HELP)
    .action(async (options) => {
      const outcome = await request(options, PEERS.either, "upgrade", options.timeout ?? 30_000);
      print(`${messageIn(outcome)}\n`);
    });
  await parse(command, args);
  return EXIT.ok;
}

function messageIn(outcome: unknown): string {
  const isOutcome = typeof outcome === "object" && outcome !== null && "message" in outcome;
  return isOutcome ? String(outcome.message) : "upgraded";
}
