/** `multibinder render`: shows what a template becomes. */

import { Poller } from "../../ffi/poll.ts";
import { userId } from "../control/accounts.ts";
import { DEFAULT_SOCK } from "../control/client.ts";
import { EXIT } from "../errors.ts";
import { TEMPLATE_SERVER } from "../servers/servers.ts";
import { bytesOf, renderFiles, writeOutput } from "../wrapper/config_files.ts";
import { chooseSockets } from "../wrapper/sockets.ts";
import {
  binderUidFromEnvironment,
  createCommand,
  duration,
  logOf,
  parse,
  print,
  sockFromEnvironment,
} from "./options.ts";

const HELP = `
The sockets are really bound, by the binder or else by this process for a moment, so that
what is printed would start. Nothing is run.
`;

/** Runs the subcommand. @returns the exit code */
export async function run(args: readonly string[]): Promise<number> {
  const command = createCommand("render", "Print a rendered config template.")
    .argument("<file>", "the template")
    .option(
      "--sock <path>",
      `the binder's control socket (default: $MULTIBINDER_SOCK, else ${DEFAULT_SOCK})`,
    )
    .option(
      "--binder-uid <user>",
      "the binder's user, if neither root nor this one (default: $MULTIBINDER_BINDER_UID)",
      userId,
    )
    .option("--wait <time>", "wait for a binder that was named (default: 10s)", duration)
    .option("--output <file>", "write there (default: -, standard output)")
    .addHelpText("after", HELP)
    .action(async (template: string, options) => {
      const target = options.output ?? "-";
      const { files, sockets } = renderFiles(
        [{ template, target }],
        Deno.env.toObject(),
        TEMPLATE_SERVER.socketNames,
      );
      const sock = options.sock ?? sockFromEnvironment();
      const wait = options.wait ?? 10_000;
      const binderUid = options.binderUid ?? binderUidFromEnvironment();
      const where = { sock, binderUid, wait, lasting: false };
      const source = chooseSockets(where, new Poller(), logOf(options));
      await source.prepare(sockets);
      source.close();
      // As a file, standard output could be replaced by another.
      const isOurOwn = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].includes(target);
      for (const file of files) isOurOwn ? print(bytesOf(file)) : writeOutput(file);
    });
  await parse(command, args);
  return EXIT.ok;
}
