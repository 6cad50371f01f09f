/**
 * `multibinder look`, hidden: ends with 0 if all descriptors of the message that waits at descriptor 3 are sockets.
 *
 * A process of its own, because whoever looks gets copies, and must close them, to which a file server may never
 * answer. The message stays in the queue.
 */

import { Fd } from "../../ffi/fd.ts";
import { isSocket } from "../../ffi/discard.ts";
import { peekMessage } from "../../ffi/fd_passing.ts";
import { FIRST_FD } from "../../ffi/spawn.ts";
import { RECEIVED_AT_ONCE } from "../control/channel.ts";
import { EXIT } from "../errors.ts";

/** Looks at the message. @returns the exit code */
export function run(): number {
  // As many bytes as will be received: descriptors that come with a later one of them must be seen, too.
  const message = peekMessage(Fd.inherited(FIRST_FD), new Uint8Array(RECEIVED_AT_ONCE));
  return message && !message.truncated && message.fds.every(isSocket) ? EXIT.ok : EXIT.failure;
}
