/** What waits at a listening socket, how much may wait, and what was dropped, as far as the kernel tells. */

import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { acceptQueue, receiveMemory } from "../../ffi/socket.ts";
import { unixQueues } from "../../ffi/unix_diag.ts";
import type { Address } from "./address.ts";

/** Of a UDP socket bytes and datagrams, of all others connections; null is what the kernel does not tell. */
export interface ListenerState {
  /** What was not accepted (UDP: not read) yet. */
  queue: number | null;
  /** How long the queue may be; the kernel lets one more connection in than that. */
  limit: number | null;
  /** What the kernel has dropped since the socket was made. Of UNIX sockets it keeps no count: connect(2) waits. */
  drops: number | null;
}

/** The accept queues of UNIX sockets, by inode: the kernel tells those of all at once. */
export type UnixQueues = ReadonlyMap<number, { length: number; limit: number }>;

const UNKNOWN: ListenerState = { queue: null, limit: null, drops: null };

/**
 * Looks at a socket.
 * @param unix where those of UNIX sockets are looked up, from {@link readUnixQueues}
 */
export function listenerState(
  { address, fd }: { address: Address; fd: Fd },
  unix: UnixQueues,
): ListenerState {
  if (fd.closed) return UNKNOWN;
  if (address.transport === "unix") {
    const found = unix.get(socketInode(fd));
    return { ...UNKNOWN, ...(found && { queue: found.length, limit: found.limit }) };
  }
  // Linux has it from 4.12 on. A filter of system calls may forbid either.
  const memory = attempt(() => receiveMemory(fd));
  const drops = memory?.drops ?? null;
  if (address.transport === "udp") {
    return { queue: memory?.used ?? null, limit: memory?.limit ?? null, drops };
  }
  const queue = tcpQueue(fd);
  return { queue: queue?.length ?? null, limit: queue?.limit ?? null, drops };
}

/**
 * The accept queue of a TCP socket.
 * @returns undefined where the kernel does not tell it, as an emulator of another architecture does not
 */
export function tcpQueue(fd: Fd): { length: number; limit: number } | undefined {
  return attempt(() => acceptQueue(fd));
}

/**
 * Reads the accept queues of UNIX sockets, if some are among those held.
 * @param pause called often; what it returns is waited for
 */
export async function readUnixQueues(
  sockets: readonly { address: Address }[],
  pause: () => Promise<void> | undefined,
): Promise<UnixQueues> {
  const found = new Map<number, { length: number; limit: number }>();
  if (!sockets.some(({ address }) => address.transport === "unix")) return found;
  try {
    for (const { inode, ...queue } of unixQueues()) {
      found.set(inode, queue);
      await pause();
    }
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
  }
  return found;
}

const inodes = new WeakMap<Fd, number>();

/** The number of a socket in /proc and the kernel's tables, for as long as it is there; 0 if it cannot be read. */
export function socketInode(fd: Fd): number {
  let inode = inodes.get(fd);
  if (inode !== undefined) return inode;
  try {
    inode = Deno.statSync(`/proc/self/fd/${fd.number}`).ino ?? 0;
    inodes.set(fd, inode);
    return inode;
  } catch {
    return 0;
  }
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}
