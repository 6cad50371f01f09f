/** Who holds a port: for the message when it is in use. */

import { SystemError } from "../../ffi/errno.ts";
import { commandOf, descriptorsOf, inodeIn, processes } from "../proc.ts";
import type { InternetAddress } from "./address.ts";

/** The state of a listening socket in /proc/net/tcp (TCP_LISTEN of include/net/tcp_states.h). */
const TCP_LISTEN = "0A";
/** The state of a bound UDP socket in /proc/net/udp: TCP_CLOSE. */
const UDP_BOUND = "07";

/** What is looked for: a port, and the host that it cannot be had on. */
type Wanted = Pick<InternetAddress, "transport" | "host" | "port">;

/** Milliseconds of work after which a search is given up. */
const MAX_WORK = 1000;

/**
 * Finds a process that holds a port on a host, or on every one.
 * @param pause called often; what it returns is waited for
 * @returns its pid and command; undefined when none can be seen (another user's, another container's), or
 *   there is too much to look through
 */
export async function portHolder(
  wanted: Wanted,
  pause: () => Promise<void> | undefined = () => undefined,
): Promise<{ pid: number; command: string } | undefined> {
  const inodes = new Set([
    ...await socketInodes(`/proc/net/${wanted.transport}`, wanted),
    ...await socketInodes(`/proc/net/${wanted.transport}6`, wanted),
  ]);
  if (inodes.size === 0) return undefined;
  let work = 0;
  let since = performance.now();
  for (const pid of processes()) {
    try {
      for (const [, what] of descriptorsOf(pid)) {
        if (inodes.has(inodeIn(what) ?? -1)) return { pid, command: commandOf(pid) };
        const turn = pause();
        if (turn === undefined) continue;
        work += performance.now() - since;
        if (work > MAX_WORK) return undefined;
        await turn;
        since = performance.now();
      }
    } catch (error) {
      // It ended, or is another user's.
      if (!(error instanceof SystemError)) throw error;
    }
  }
  return undefined;
}

/** The inodes of the sockets in one of the kernel's tables that keep others from a port. */
export async function socketInodes(table: string, wanted: Wanted): Promise<number[]> {
  const state = wanted.transport === "tcp" ? TCP_LISTEN : UDP_BOUND;
  const port = wanted.port.toString(16).toUpperCase().padStart(4, "0");
  // Most lines are connections, and there may be a hundred thousand.
  const line = new RegExp(`^ *\\d+: ([0-9A-F]+):${port} \\S+ ${state} .*$`, "gm");
  const text = await Deno.readTextFile(table).catch(() => "");
  return [...text.matchAll(line)]
    .filter(([, host = ""]) => conflicts(host, wanted.host))
    .map(([found]) => Number(found.trim().split(/\s+/)[9]));
}

/**
 * Whether a socket on one host keeps another from the other: when either is a wildcard, or they are the
 * same. The kernel's table has the bytes of an IPv4 address in hexadecimal, the last one first. Two
 * different IPv6 addresses are not told apart.
 */
function conflicts(held: string, wanted: string): boolean {
  const isWildcard = /^0+$/.test(held) || ["0.0.0.0", "::", "*"].includes(wanted);
  if (isWildcard || held.length !== 8) return true;
  const bytes = held.match(/../g)?.reverse().map((byte) => parseInt(byte, 16)) ?? [];
  return bytes.join(".") === wanted;
}
