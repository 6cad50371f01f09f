/**
 * Taking the sockets of the binder's own addresses back from running servers: from generations of wrappers,
 * which got them from an earlier binder, when nobody hands them back. Binder and server then have the same
 * socket, with what waits in its queue.
 *
 * Anyone can start a process that says it is such a generation. It is believed by what the kernel has: root,
 * the binder's user or one who may hand sockets back has executed it, and root or the binder's user has made the
 * socket, which listens on the very address. Where another binder has the socket as well, it is that one's.
 * @module
 */

import { discard } from "../../ffi/discard.ts";
import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { openProcess } from "../../ffi/pidfd.ts";
import { socketCookie } from "../../ffi/socket.ts";
import { UserError } from "../errors.ts";
import { descriptorsOf, inodeIn, linkAt, processes } from "../proc.ts";
import { copyLent } from "../process/copied_socket.ts";
import { marksOf } from "../process/marks.ts";
import { descendsFrom } from "../process/origin.ts";
import type { BindError } from "../sockets/bind_error.ts";
import { socketInode } from "../sockets/listener_state.ts";
import { type Held, heldFrom } from "../sockets/held.ts";
import type { Wanted } from "../sockets/wanted.ts";
import { whyUnfit } from "./handed_back.ts";

/** Whom to believe. */
export interface Trust {
  /** The binder's own user. */
  own: number;
  /** Users who may hand sockets back. */
  adopters?: readonly number[];
}

/** A socket that is held again, and whose it was. */
export interface Regained {
  held: Held;
  pid: number;
}

/**
 * Takes sockets back that running servers were lent.
 * @returns one for each address for which there was one; the caller's
 */
export function regainLent(wanted: readonly Wanted[], { own, adopters = [] }: Trust): Regained[] {
  const believed = [0, own, ...adopters];
  const generations = [...processes()]
    .filter((pid) => pid !== Deno.pid && marksOf(pid, believed));
  const others = otherBinders(generations);
  const found = new Map<bigint, { fd: Fd; pid: number }>();
  for (const pid of generations) {
    for (const fd of socketsOf(pid, believed, own)) {
      const cookie = socketCookie(fd);
      const isTheirs = others.some((other) => hasOpen(other, socketInode(fd)));
      if (isTheirs || found.has(cookie)) discard(fd);
      else found.set(cookie, { fd, pid });
    }
  }
  const regained: Regained[] = [];
  for (const { address, options } of wanted) {
    const match = [...found].find(([, { fd }]) => whyUnfit(fd, address, options) === undefined);
    if (match === undefined) continue;
    const [cookie, { fd, pid }] = match;
    found.delete(cookie);
    regained.push({ held: heldFrom(address, fd), pid });
  }
  found.forEach(({ fd }) => discard(fd));
  return regained;
}

/** The error of an address in use, with what helps: for those who read why a binder cannot start. */
export function withRemedy(error: BindError): UserError {
  const { message, wanted } = error;
  const isNamed = wanted === undefined || wanted.transport === "unix";
  const table = wanted?.transport === "udp" ? "-lnup" : "-lntp";
  const who = isNamed ? "" : `; as root, "ss ${table} sport = :${wanted.port}" tells who has it`;
  return new UserError(
    `${message}${who}; a wrapper hands it back if its user is in adopt-uid, and with --take auto, ` +
      "as root, it is taken over from whoever listens on it",
    { cause: error },
  );
}

/** Copies of the sockets that a generation was lent. */
function socketsOf(pid: number, believed: readonly number[], own: number): Fd[] {
  try {
    using process = openProcess(pid);
    // The marks are read once more: only with the process open can its pid not become another one's.
    const marks = process && marksOf(pid, believed);
    return marks ? copyLent({ pid, process, lent: marks.lent }, undefined, [own]) : [];
  } catch (error) {
    if (error instanceof SystemError) return [];
    throw error;
  }
}

/** The processes of this program that are no wrapper of these generations: binders, for one. */
function otherBinders(generations: readonly number[]): number[] {
  const own = programOf("self");
  return [...processes()].filter((pid) =>
    pid !== Deno.pid && programOf(pid) === own &&
    !generations.some((one) => descendsFrom(one, pid))
  );
}

function hasOpen(pid: number, inode: number): boolean {
  try {
    for (const [, what] of descriptorsOf(pid)) if (inodeIn(what) === inode) return true;
    return false;
  } catch (error) {
    if (error instanceof SystemError) return false; // It has ended, or is another user's.
    throw error;
  }
}

/** The name of the file that a process runs, which may have been replaced since. */
function programOf(process: number | "self"): string {
  return linkAt(`/proc/${process}/exe`).replace(/ \(deleted\)$/, "").replace(/^.*\//, "");
}
