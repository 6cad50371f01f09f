/**
 * `multibinder look`, hidden: ends with 0 if all descriptors of the message that waits at descriptor 3 are sockets.
 *
 * A process of its own, because whoever looks has copies, and must close them: a file's server may never answer
 * to that. The message stays where it is.
 */

import { Fd } from "../../ffi/fd.ts";
import { isSocket } from "../../ffi/discard.ts";
import { peekMessage } from "../../ffi/fd_passing.ts";
import { FIRST_FD } from "../../ffi/spawn.ts";
import { RECEIVED_AT_ONCE } from "../control/channel.ts";
import { EXIT } from "../errors.ts";

/** Looks. */
export function run(): number {
  // As much as will be received: what comes with a later byte of that must be seen as well.
  const message = peekMessage(Fd.inherited(FIRST_FD), new Uint8Array(RECEIVED_AT_ONCE));
  return message && !message.truncated && message.fds.every(isSocket) ? EXIT.ok : EXIT.failure;
}
