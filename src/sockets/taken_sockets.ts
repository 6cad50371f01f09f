/**
 * Listening sockets that are copied out of a running process (pidfd_getfd(2)), which need not know of it: both
 * have the one socket then, with what waits in its queue.
 *
 * What lies under a descriptor's number could be anything, and to close a copy of it could take hours. So only
 * those are copied of which the kernel says that they listen on the address, in this process's own network
 * namespace: its tables have no others.
 * @module
 */

import { SO_REUSEPORT, SOL_SOCKET } from "../../ffi/constants.ts";
import { discard } from "../../ffi/discard.ts";
import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { copyDescriptor, openProcess } from "../../ffi/pidfd.ts";
import { MAX_UNIX_PATH } from "../../ffi/sockaddr.ts";
import { setOption } from "../../ffi/socket.ts";
import { UserError } from "../errors.ts";
import { commandOf, descriptorsOf, inodeIn, linkAt, processes } from "../proc.ts";
import { type Address, formatAddress, wholeOf } from "./address.ts";
import { isTrusted } from "./folder.ts";
import { listeningAddress, makerOf } from "./listen.ts";
import { socketInode } from "./listener_state.ts";
import { socketInodes } from "./port_holder.ts";
import { type Held, heldFrom } from "./held.ts";

/** What it takes to trace a process (ptrace(2)), and to list its descriptors. */
const RIGHT = "it takes root (CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH), or the same user and " +
  "kernel.yama.ptrace_scope=0";

/** Whom to take sockets from: the process with that pid, or whoever has them. */
export type Holder = number | "auto";

/** A socket, and whose it was. */
export interface TakenSocket {
  held: Held;
  pid: number;
  command: string;
}

/** The flag of a listening socket in /proc/net/unix: __SO_ACCEPTCON of linux/net.h. */
const LISTENS = "00010000";

/**
 * Takes the sockets of addresses.
 * @param holder with `auto`, an address on which nobody listens is left out
 * @returns the caller's
 * @throws {UserError} for an address that is not to be had; none is taken then
 */
export async function takeSockets(
  addresses: readonly Address[],
  holder: Holder,
): Promise<TakenSocket[]> {
  const groups = Map.groupBy(addresses, (address) => formatAddress(wholeOf(address)));
  const taken: TakenSocket[] = [];
  try {
    for (const group of groups.values()) taken.push(...await takeGroup(group, holder));
    return taken;
  } catch (error) {
    taken.forEach(({ held }) => discard(held.fd));
    throw error;
  }
}

/** Takes the socket of an address, or all of those that share it. */
async function takeGroup(group: readonly Address[], holder: Holder): Promise<TakenSocket[]> {
  const [first] = group;
  if (first === undefined) return [];
  const whole = wholeOf(first);
  const inodes = await inodesOf(whole);
  if (inodes.size === 0 && holder === "auto") return [];
  const found = copiesOf(inodes, whole, holder);
  const why = whyRefused(found, { whole, count: group.length, holder, isServed: inodes.size > 0 });
  if (why !== undefined) {
    found.copies.forEach(({ fd }) => discard(fd));
    throw new UserError(`cannot take ${formatAddress(whole)}: ${why}`);
  }
  return found.copies.map(({ fd, pid }, index) => {
    const address = group[index] ?? whole;
    // With that option an old server that is reloaded or started again would bind another socket beside this
    // one, and the kernel would give each a part of the connections, though nobody may accept from this one yet.
    if (address === whole && address.transport !== "unix") {
      setOption(fd, SOL_SOCKET, SO_REUSEPORT, 0);
    }
    return { held: heldFrom(address, fd), pid, command: commandOf(pid) };
  });
}

/** What was asked for: so many sockets of an address, on which somebody listens or not. */
interface Asked {
  whole: Address;
  count: number;
  holder: Holder;
  isServed: boolean;
}

/** Why the copies that were found are not taken; undefined when they are. */
function whyRefused(
  { copies, others, denied }: Copies,
  { whole, count, holder, isServed }: Asked,
): string | undefined {
  const stranger = copies.find(({ fd }) => !isTrusted(makerOf(fd)));
  if (holder === "auto" && stranger) {
    const { fd, pid } = stranger;
    // That user could keep connections that are meant for the server of this address.
    return `uid ${makerOf(fd)} has made the socket that ${commandOf(pid)} (pid ${pid}) has; ` +
      `if that is meant: --take ${pid}`;
  }
  if (copies.length === count) return undefined;
  const who = holder === "auto" ? "its holder" : `${commandOf(holder)} (pid ${holder})`;
  if (copies.length > 0) {
    const remedy = `name ${formatAddress(whole)},reuseport=${copies.length}`;
    return `${who} listens on it with ${copies.length} sockets: ${remedy}`;
  }
  if (holder !== "auto" && denied.has(holder)) return `no right to trace ${who}: ${RIGHT}`;
  const [other] = others;
  if (other !== undefined) return `${who} listens on ${other}: name that`;
  return whyNone(holder, isServed);
}

/** Why no copy was found. */
function whyNone(holder: Holder, isServed: boolean): string {
  if (holder === "auto") {
    return `whoever listens on it is not to be seen: in another container, or no right to trace it; ${RIGHT}`;
  }
  const command = commandOf(holder);
  if (command === "") return `there is no process with pid ${holder}`;
  const who = `${command} (pid ${holder})`;
  const [own, its] = ["self", holder].map((process) => linkAt(`/proc/${process}/ns/net`));
  if (its !== "" && own !== its) return `${who} is in another network namespace`;
  return `${who} does not listen on it${isServed ? ", but somebody else: try --take auto" : ""}`;
}

interface Copies {
  /** One a socket that listens on the very address. */
  copies: { fd: Fd; pid: number }[];
  /** What else the sockets listen on that keep others from the address. */
  others: Set<string>;
  /** The processes whose descriptors may not be looked at, or copied. */
  denied: Set<number>;
}

function copiesOf(inodes: ReadonlySet<number>, whole: Address, holder: Holder): Copies {
  const found: Copies = { copies: [], others: new Set(), denied: new Set() };
  const seen = new Set<number>();
  for (const pid of holder === "auto" ? processes() : [holder]) {
    if (pid === Deno.pid) continue;
    for (const [number, inode] of socketsOf(pid, found)) {
      if (!inodes.has(inode) || seen.has(inode)) continue;
      const fd = copyOf(pid, number, inode, found);
      if (fd === undefined) continue;
      seen.add(inode);
      const address = listeningAddress(fd);
      if (address && formatAddress(address) === formatAddress(whole)) {
        found.copies.push({ fd, pid });
        continue;
      }
      if (address) found.others.add(formatAddress(address));
      discard(fd);
    }
  }
  return found;
}

function copyOf(pid: number, number: number, inode: number, found: Copies): Fd | undefined {
  try {
    using process = openProcess(pid);
    if (process === undefined) return undefined;
    const fd = copyDescriptor(process, number);
    if (socketInode(fd) === inode) return fd;
    // It has put something else there meanwhile.
    discard(fd);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    if (error.code === "EPERM") found.denied.add(pid);
  }
  return undefined;
}

/** The sockets of a process: number and inode. */
function* socketsOf(pid: number, found: Copies): Generator<[number: number, inode: number]> {
  try {
    for (const [number, what] of descriptorsOf(pid)) {
      const inode = inodeIn(what);
      if (inode !== undefined) yield [number, inode];
    }
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    if (error.code === "EACCES") found.denied.add(pid);
  }
}

/** The sockets that keep others from an address, by the kernel's tables of this network namespace. */
async function inodesOf(address: Address): Promise<Set<number>> {
  if (address.transport !== "unix") {
    const tables = [address.transport, `${address.transport}6`];
    const found = tables.map((table) => socketInodes(`/proc/self/net/${table}`, address));
    return new Set((await Promise.all(found)).flat());
  }
  // Number, references, protocol, flags, type, state, inode, path. The zeros of an abstract name are at signs.
  const row = /^\S+ \S+ \S+ (\S+) \S+ \S+ +(\d+) (.*)$/gm;
  const rows = (await Deno.readTextFile("/proc/self/net/unix")).matchAll(row);
  const bytes = new TextEncoder().encode(address.path).length;
  const zeros = address.padded ? MAX_UNIX_PATH + 1 - bytes : 0;
  const shown = address.path + "@".repeat(zeros);
  return new Set(
    [...rows].filter(([, flags, , path]) => flags === LISTENS && path === shown)
      .map(([, , inode]) => Number(inode)),
  );
}
