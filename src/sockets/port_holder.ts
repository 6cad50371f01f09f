/** Who holds a port: for the message when it is in use. */

import type { InternetAddress } from "./address.ts";

/** The state of a listening socket in /proc/net/tcp (TCP_LISTEN of include/net/tcp_states.h). */
const TCP_LISTEN = "0A";
/** The state of a bound UDP socket in /proc/net/udp: TCP_CLOSE. */
const UDP_BOUND = "07";

/** What is looked for: a port, and the host that it cannot be had on. */
type Wanted = Pick<InternetAddress, "transport" | "host" | "port">;

/**
 * Finds a process that holds a port on a host, or on every one.
 * @returns its pid and command; undefined when none can be seen: another user's, another container's
 */
export function portHolder(
  wanted: Wanted,
): { pid: number; command: string } | undefined {
  const inodes = new Set([
    ...socketInodes(`/proc/net/${wanted.transport}`, wanted),
    ...socketInodes(`/proc/net/${wanted.transport}6`, wanted),
  ]);
  if (inodes.size === 0) return undefined;
  for (const pid of namesIn("/proc").filter((name) => /^\d+$/.test(name))) {
    for (const fd of namesIn(`/proc/${pid}/fd`)) {
      const link = attempt(() => Deno.readLinkSync(`/proc/${pid}/fd/${fd}`));
      const inode = /^socket:\[(\d+)\]$/.exec(link)?.[1];
      if (inode === undefined || !inodes.has(inode)) continue;
      const command = attempt(() => Deno.readTextFileSync(`/proc/${pid}/comm`));
      return { pid: Number(pid), command: command.trim() };
    }
  }
  return undefined;
}

/** The inodes of the sockets in one of the kernel's tables that are bound to the port. */
function socketInodes(table: string, wanted: Wanted): string[] {
  const state = wanted.transport === "tcp" ? TCP_LISTEN : UDP_BOUND;
  const port = wanted.port.toString(16).toUpperCase().padStart(4, "0");
  return attempt(() => Deno.readTextFileSync(table)).split("\n").slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((column) => {
      const [host = "", heldPort] = column[1]?.split(":") ?? [];
      return heldPort === port && column[3] === state && conflicts(host, wanted.host);
    })
    .map((column) => column[9] ?? "");
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

function namesIn(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].map(({ name }) => name);
  } catch {
    return [];
  }
}

/** What cannot be read (a process that ended, another user's) tells nothing. */
function attempt(read: () => string): string {
  try {
    return read();
  } catch {
    return "";
  }
}
