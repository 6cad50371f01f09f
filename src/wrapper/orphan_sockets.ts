/**
 * Taking over the listening sockets of orphans.
 *
 * What lies under a descriptor's number could be anything, and so could what a copy of it does when it is
 * closed. So it is looked at before it is copied: taken are sockets that root or this user has made, which
 * the kernel knows, and of these the ones that listen.
 * @module
 */

import { SO_REUSEPORT, SOL_SOCKET } from "../../ffi/constants.ts";
import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { openPlace } from "../../ffi/file.ts";
import { copyDescriptor } from "../../ffi/pidfd.ts";
import { effectiveUid } from "../../ffi/process.ts";
import { getOption, socketCookie } from "../../ffi/socket.ts";
import { discard } from "../../ffi/discard.ts";
import { FIRST_FD } from "../../ffi/spawn.ts";
import type { Log } from "../log.ts";
import { type Address, formatAddress, toParts } from "../sockets/address.ts";
import { listeningAddress } from "../sockets/listen.ts";
import type { HeldSocket } from "./binder_link.ts";
import type { Orphan } from "./orphans.ts";

/**
 * Copies the listening sockets that orphans were lent, one an address, where this process may and where
 * root or its own user has made them. The caller owns them.
 */
export function listeningSocketsOf(orphans: readonly Orphan[], log: Log): HeldSocket[] {
  const found = new Map<string, { address: Address; fds: Map<bigint, Fd> }>();
  for (const fd of orphans.flatMap((orphan) => socketsOf(orphan, log))) {
    const address = addressOf(fd);
    const text = address && formatAddress(address);
    const same = found.get(text ?? "");
    const isShare = same && getOption(fd, SOL_SOCKET, SO_REUSEPORT) !== 0;
    const cookie = socketCookie(fd);
    if (address && text && !same) found.set(text, { address, fds: new Map([[cookie, fd]]) });
    else if (isShare && !same.fds.has(cookie)) same.fds.set(cookie, fd);
    else fd.close();
  }
  return [...found.values()].flatMap(({ address, fds }) => {
    // They were lent in the order of their numbers.
    return [...fds.values()].map((fd, index) => {
      const share = fds.size > 1 && { share: `${index + 1}/${fds.size}` };
      return { param: toParts({ ...address, ...share }), fd };
    });
  });
}

/** Undefined for what does not listen, and for a kind of socket that has no such calls. */
function addressOf(fd: Fd): Address | undefined {
  try {
    return listeningAddress(fd);
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}

/** Copies of the sockets that an orphan was lent and that are ours or root's. */
function socketsOf(orphan: Orphan, log: Log): Fd[] {
  const { pid, lent } = orphan;
  const strangers = new Set<number>();
  const copies = descriptorsOf(pid).filter((one) => one >= FIRST_FD && one < FIRST_FD + lent)
    .flatMap((number) => {
      const fd = copyIfOurs(orphan, number, strangers);
      return fd ? [fd] : [];
    });
  if (strangers.size > 0) {
    const uids = [...strangers].join(" ");
    log.warn("sockets are not taken over: neither root nor this user made them", { pid, uids });
  }
  return copies;
}

/** @param strangers where the maker of a socket is noted that is not copied */
function copyIfOurs(
  { pid, process }: Orphan,
  number: number,
  strangers: Set<number>,
): Fd | undefined {
  try {
    // It is held while it is looked at, in a way that neither opens nor closes anything.
    using place = openPlace(`/proc/${pid}/fd/${number}`);
    const what = targetOf(place);
    // A file's name begins with a slash. To ask for more than that a file's server would have to answer.
    if (!what.startsWith("socket:")) return undefined;
    const maker = Deno.statSync(`/proc/self/fd/${place.number}`).uid ?? -1;
    if (maker !== 0 && maker !== effectiveUid()) {
      strangers.add(maker);
      return undefined;
    }
    const fd = copyDescriptor(process, number);
    if (targetOf(fd) === what) return fd;
    // It has put something else there meanwhile.
    discard(fd);
    return undefined;
  } catch {
    // No right to trace it, or it ended, or it closed the descriptor: the socket is not to be had.
    return undefined;
  }
}

function targetOf(fd: Fd): string {
  return Deno.readLinkSync(`/proc/self/fd/${fd.number}`);
}

function descriptorsOf(pid: number): number[] {
  try {
    return [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) => Number(name));
  } catch {
    return [];
  }
}
