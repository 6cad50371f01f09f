/** `multibinder unbind`: makes a binder give addresses up. */

import { ControlClient } from "../control/client.ts";
import { EXIT, fromCommandLine } from "../errors.ts";
import { escapeControls } from "../escape.ts";
import { splitAddress } from "../sockets/address.ts";
import { expandAddresses } from "../sockets/address_list.ts";
import { print } from "./output.ts";
import { SOCK } from "./shared_options.ts";
import { defineSubcommand } from "./subcommand.ts";

const MEANING = `
All are given up, or none. A server that has a copy of the socket goes on accepting;
the address is free when the last copy is closed. It is refused for an address of the
binder's command line, and for one that a connected wrapper has: either would be bound
again.
`;

export const subcommand = defineSubcommand({
  name: "unbind",
  about: "make a binder give addresses up",
  argument: {
    name: "ADDRESS",
    about: "an address to give up, as it was bound",
    count: "some",
    isHeld: true,
  },
  options: { sock: SOCK },
  sections: { "What that means": MEANING },
  examples: ["multibinder unbind :8080 unix:/run/site.sock"],
  async run({ options, words }) {
    const params = fromCommandLine(() =>
      words.flatMap((one) => expandAddresses(one)).map(splitAddress)
    );
    using client = ControlClient.connect(options.sock);
    const result = await client.call("unbind", params);
    const addresses = Array.isArray(result) ? result.map(String) : [];
    print(addresses.map((address) => `gave up ${escapeControls(address)}\n`).join(""));
    return EXIT.ok;
  },
});
