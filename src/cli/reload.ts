/** `multibinder reload`: reloads a wrapper's server and says how that went. */

import { PEERS } from "../control/peer.ts";
import { EXIT, UserError } from "../errors.ts";
import { createCommand, duration, parse, print, request, sockFromEnvironment } from "./options.ts";

const HELP = `
The wrapper's control socket is the one of its --control. Without --sock, MULTIBINDER_SOCK names it.

It answers once the new generation serves, and fails with the reason if it does not: the old
one goes on serving then.
`;

/** Runs the subcommand. @returns the exit code */
export async function run(args: readonly string[]): Promise<number> {
  const command = createCommand("reload", "Reload a wrapper's server, and wait.")
    .option("--sock <path>", "the wrapper's control socket (default: $MULTIBINDER_SOCK)")
    .option("--timeout <time>", "to wait for the outcome (default: 2m)", duration)
    .addHelpText("after", HELP)
    .action(async (options) => {
      if ((options.sock ?? sockFromEnvironment()) === undefined) {
        const why = "reload: name the wrapper's control socket, --sock PATH, as its --control does";
        throw new UserError(why, { exitCode: EXIT.usage });
      }
      print(`${await request(options, PEERS.wrapper, "reload", options.timeout ?? 120_000)}\n`);
    });
  await parse(command, args);
  return EXIT.ok;
}
