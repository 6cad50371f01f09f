/** `multibinder unbind`: makes a binder give addresses up. */

import { splitAddress } from "../sockets/address.ts";
import { PEERS } from "../control/peer.ts";
import { EXIT, fromCommandLine } from "../errors.ts";
import { addSockOption, createCommand, parse, print, request } from "./options.ts";

const HELP = `
All are given up, or none. A server that has a copy of the socket goes on accepting; the
address is free when the last copy is closed. Refused for what the binder's command line
names, and for what a wrapper has that is connected: both would bring it back.
`;

/** Runs the subcommand. @returns the exit code */
export async function run(args: readonly string[]): Promise<number> {
  const command = addSockOption(createCommand("unbind", "Make a binder give addresses up."))
    .argument("<address...>", "as they were bound")
    .addHelpText("after", HELP)
    .action(async (addresses: string[], options) => {
      const params = fromCommandLine(() => addresses.map(splitAddress));
      const result = await request(options, PEERS.binder, "unbind", undefined, params);
      if (Array.isArray(result)) print(result.map((address) => `gave up ${address}\n`).join(""));
    });
  await parse(command, args);
  return EXIT.ok;
}
