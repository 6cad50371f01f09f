/** Where the sockets of a wrapper come from. */

import type { Poller } from "../../ffi/poll.ts";
import { ControlClient, DEFAULT_SOCK } from "../control/client.ts";
import { isAbsent } from "../control/client_errors.ts";
import type { Log } from "../log.ts";
import { BinderSockets } from "./binder_sockets.ts";
import { OwnSockets } from "./own_sockets.ts";
import type { Sockets, SocketsOptions } from "./sockets.ts";

/**
 * Chooses where sockets come from: the binder that was named, or none where that was said. Where nothing was said, a
 * binder at the default path, or else this process itself.
 * @param defaultSock the default path
 * @throws {UserError} when there is one at the default path that cannot be used
 */
export function chooseSockets(
  options: SocketsOptions,
  poller: Poller,
  log: Log,
  defaultSock: string = DEFAULT_SOCK,
): Sockets {
  if (options.sock === null) return new OwnSockets();
  if (options.sock !== undefined) return new BinderSockets(options.sock, options, poller, log);
  try {
    ControlClient.connect(defaultSock, poller).close();
    return new BinderSockets(defaultSock, options, poller, log);
  } catch (error) {
    if (!isAbsent(error)) throw error;
    return new OwnSockets(() =>
      log.info(`no binder at ${defaultSock}: this process binds the listening sockets itself`)
    );
  }
}
