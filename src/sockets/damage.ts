/**
 * What a holder of a copy can do to a shared socket: shut it down, or connect it to one peer. The socket then
 * serves nobody, whichever process has it, and those processes do not learn of it.
 */

import { POLLHUP, POLLRDHUP, SO_ACCEPTCONN, SOL_SOCKET } from "../../ffi/constants.ts";
import { discardNow } from "../../ffi/discard.ts";
import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { readiness } from "../../ffi/poll.ts";
import { effectiveUid } from "../../ffi/process.ts";
import { disconnect, getOption, isConnected, listenSocket } from "../../ffi/socket.ts";
import { fileNumberOf } from "../../ffi/unix_diag.ts";
import { type Address, formatAddress, hasFile, wholeOf } from "./address.ts";
import { closeHeld, type Held } from "./held.ts";
import { optionsOf } from "./kernel_options.ts";
import { listen, listeningAddress } from "./listen.ts";
import { placeAt } from "./place.ts";
import type { SocketOptions } from "./socket_options.ts";

/** What has become of a damaged socket: it listens again, another one is bound in its place, or none could be. */
export type Mending = "listens" | "anew" | "gone";

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
 * Makes a socket serve again that somebody has shut down or connected: the same one if that is possible, or
 * else one that is bound anew. When neither is, the socket is closed.
 * @returns what was done to it and what has become of it, with the reason when it is gone; undefined when it serves
 */
export function mend(held: Held): { why: string; how: Mending; error?: unknown } | undefined {
  const { address, backlog } = held;
  const why = damageOf(held.fd, address);
  if (why === undefined) return undefined;
  held.mended = (held.mended ?? 0) + 1;
  if (restore(held.fd, address, backlog)) return { why, how: "listens" };
  const options = hasFile(address)
    ? permissionsAt(address.path, held.fd)
    : optionsOf(held.fd, address);
  // While it is open, its name or port is taken; a UDP socket alone can be bound beside it.
  const dead = address.transport === "udp" ? held.fd : undefined;
  if (dead === undefined) closeHeld(held);
  discardNow();
  try {
    Object.assign(held, listen(address, backlog, options, dead));
    return { why, how: "anew" };
  } catch (error) {
    return { why, how: "gone", error };
  } finally {
    dead?.close();
  }
}

/**
 * Makes the same socket serve its address again, and with it every process that has a copy.
 * @returns whether that was possible. It is not for a UNIX socket, nor for a UDP socket that was shut down,
 *   nor where the socket has lost its port by it, as it does if the kernel had chosen that
 */
function restore(fd: Fd, address: Address, backlog: number): boolean {
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

/** Who may connect to a UNIX socket, as options; none when its file is gone. */
function permissionsAt(path: string, fd: Fd): SocketOptions {
  const number = fileNumberOf(fd);
  using place = placeAt(path);
  if (place === undefined || number !== (place.info.ino ?? -1) >>> 0) return {};
  const { mode, uid, gid } = place.info;
  const permissions = { mode: ((mode ?? 0) & 0o777).toString(8) };
  // Only root can give a file away. It connects to the socket for that, and a server may accept the connection.
  const isGiven = uid !== effectiveUid() || gid !== Deno.gid();
  return isGiven && effectiveUid() === 0
    ? { ...permissions, user: `${uid}`, group: `${gid}` }
    : permissions;
}
