/**
 * What a holder of a copy can do to a shared socket: shut it down, or connect it to one peer. It serves nobody
 * then, whoever has it, and nothing tells the others.
 */

import { POLLHUP, POLLRDHUP, SO_ACCEPTCONN, SOL_SOCKET } from "../../ffi/constants.ts";
import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { readiness } from "../../ffi/poll.ts";
import { disconnect, getOption, isConnected, listenSocket } from "../../ffi/socket.ts";
import { type Address, formatAddress, wholeOf } from "./address.ts";
import { listeningAddress } from "./listen.ts";

/**
 * Looks whether a socket that was bound for an address still serves it, in a system call or two.
 * @returns what was done to it; undefined when it serves
 */
export function damageOf(fd: Fd, { transport }: Pick<Address, "transport">): string | undefined {
  if (transport === "tcp") {
    return getOption(fd, SOL_SOCKET, SO_ACCEPTCONN) === 1 ? undefined : "it does not listen";
  }
  if (transport === "udp" && isConnected(fd)) return "it is connected to one peer";
  // A UNIX socket that was shut down goes on saying that it listens.
  const isShut = (readiness(fd, POLLRDHUP) & (POLLHUP | POLLRDHUP)) !== 0;
  return isShut ? "it is shut down" : undefined;
}

/**
 * Has the same socket serve its address again, so that everyone who has a copy is served as well.
 * @returns whether the kernel lets it: not a UNIX socket, nor one of UDP that was shut down, and not when its
 *   port was lost with that, as one is that the kernel has chosen
 */
export function restore(fd: Fd, address: Address, backlog: number): boolean {
  if (address.transport === "unix") return false;
  try {
    disconnect(fd);
    if (address.transport === "tcp") listenSocket(fd, backlog);
    const found = listeningAddress(fd);
    return damageOf(fd, address) === undefined && found !== undefined &&
      formatAddress(found) === formatAddress(wholeOf(address));
  } catch (error) {
    if (error instanceof SystemError) return false;
    throw error;
  }
}
