/** A socket that a process holds, and what can be done with one without taking it from those who have copies. */

import { discard } from "../../ffi/discard.ts";
import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { listenSocket } from "../../ffi/socket.ts";
import { type Address, hasFile } from "./address.ts";
import { explain } from "./bind_error.ts";
import { setOptions } from "./kernel_options.ts";
import { tcpQueue } from "./listener_state.ts";
import { type FileId, fileId, removeIfSame } from "./place.ts";
import type { SocketOptions } from "./socket_options.ts";
import { conformFile } from "./unix_path.ts";

/** A socket held. */
export interface Held {
  address: Address;
  fd: Fd;
  /** Length of its accept queue as last asked for. */
  backlog: number;
  /** Since when it is held, in milliseconds since 1970. */
  since: number;
  /** The file of a UNIX socket, removed with it. */
  file?: FileId;
  /** How often it was found to serve nobody, and mended. */
  mended?: number;
}

/**
 * A socket that is bound already, as it is held from now on.
 * @param backlog length of its accept queue, where the kernel does not tell it: it does for TCP at most
 */
export function heldFrom(address: Address, fd: Fd, backlog = 0): Held {
  const file = hasFile(address) ? fileId(address.path) : undefined;
  const limit = address.transport === "tcp" ? tcpQueue(fd)?.limit : undefined;
  return { address, fd, backlog: limit ?? backlog, since: Date.now(), ...(file && { file }) };
}

/** Gives options to a socket that is held, as far as a live one can take them. @throws {BindError} */
export function conform(
  { fd, address, backlog }: Pick<Held, "fd" | "address" | "backlog">,
  options: SocketOptions | undefined,
): void {
  if (options === undefined) return;
  try {
    if (hasFile(address)) conformFile(fd, address.path, options);
    else setOptions(fd, address, options, backlog);
  } catch (error) {
    throw error instanceof SystemError ? explain(address, error) : error;
  }
}

/** Lengthens an accept queue for all who share the socket. It is never shortened: what waits might be dropped. */
export function growBacklog(held: Held, backlog: number | undefined): void {
  if (backlog === undefined || backlog <= held.backlog || held.address.transport === "udp") return;
  listenSocket(held.fd, backlog);
  held.backlog = backlog;
}

/** Closes a socket and removes its file. A UNIX socket is closed later, by {@link discardNow} at the latest. */
export function closeHeld({ address, fd, file }: Held): void {
  // While the socket is open no other file gets the number by which its own is known.
  if (address.transport === "unix" && file) removeIfSame(address.path, file);
  // With the last copy of a UNIX socket the kernel closes what waiting clients have sent, which may take long.
  if (address.transport === "unix") discard(fd);
  else fd.close();
}
