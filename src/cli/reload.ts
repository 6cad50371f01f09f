/** `multibinder reload`: reloads a wrapper's server and says how that went. */

import { EXIT } from "../errors.ts";
import { addSockOption, createCommand, duration, parse, print, request } from "./options.ts";

const HELP = `
It answers once the new generation serves, and fails with the reason if it does not: the old
one goes on serving then.
`;

/** Runs the subcommand. @returns the exit code */
export async function run(args: readonly string[]): Promise<number> {
  const command = addSockOption(createCommand("reload", "Reload a wrapper's server, and wait."))
    .option("--timeout <time>", "to wait for the outcome (default: 2m)", duration)
    .addHelpText("after", HELP)
    .action(async (options) => {
      print(`${await request(options, "reload", options.timeout ?? 120_000)}\n`);
    });
  await parse(command, args);
  return EXIT.ok;
}
