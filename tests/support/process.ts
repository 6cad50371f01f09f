/** What the kernel tells about a process. */

/** The open descriptors of a process, with what they refer to, such as `socket:[4711]`. */
export function openFds(pid: number): Map<number, string> {
  const fds = new Map<number, string>();
  for (const { name } of Deno.readDirSync(`/proc/${pid}/fd`)) {
    try {
      fds.set(Number(name), Deno.readLinkSync(`/proc/${pid}/fd/${name}`));
    } catch {
      // Closed since the folder was read.
    }
  }
  return fds;
}

/** The inodes of the sockets that a process has open, one a descriptor, in ascending order. */
export function socketInodes(pid: number): number[] {
  return [...openFds(pid).values()].map((target) => Number(/^socket:\[(\d+)\]$/.exec(target)?.[1]))
    .filter((inode) => inode > 0).sort((a, b) => a - b);
}

/** The inode of one descriptor's socket. */
export function socketInode(pid: number, fd: number): number | undefined {
  return Number(/^socket:\[(\d+)\]$/.exec(openFds(pid).get(fd) ?? "")?.[1]) || undefined;
}

/** A socket that waits for connections (or, of UDP, for datagrams). */
export interface ListeningSocket {
  table: "tcp" | "tcp6" | "udp" | "udp6" | "unix";
  inode: number;
  /** The path of a UNIX socket, else the address in the kernel's hexadecimal. */
  address: string;
}

/** The sockets on which a process listens, as the kernel's tables have them. */
export function listeningSockets(pid: number): ListeningSocket[] {
  const own = new Set(socketInodes(pid));
  const rows = (table: ListeningSocket["table"]) =>
    Deno.readTextFileSync(`/proc/${pid}/net/${table}`).split("\n").slice(1)
      .map((line) => line.trim().split(/\s+/));
  const internet = (["tcp", "tcp6", "udp", "udp6"] as const).flatMap((table) =>
    // States: 0A is TCP_LISTEN, 07 TCP_CLOSE, in which a bound UDP socket is.
    rows(table).filter((column) => column[3] === (table.startsWith("tcp") ? "0A" : "07"))
      .map((column) => ({ table, inode: Number(column[9]), address: column[1] ?? "" }))
  );
  // The flag is __SO_ACCEPTCON.
  const unix = rows("unix").filter((column) => column[3] === "00010000")
    .map((column) => ({
      table: "unix" as const,
      inode: Number(column[6]),
      address: column[7] ?? "",
    }));
  return [...internet, ...unix].filter(({ inode }) => own.has(inode));
}

/** The inodes of the sockets of IPv4's TCP on which a process listens. */
export function tcpListeners(pid: number): number[] {
  return listeningSockets(pid).filter(({ table }) => table === "tcp").map(({ inode }) => inode);
}

/** The inodes of what the epoll sets of a process hold (proc(5), /proc/PID/fdinfo). */
export function polledInodes(pid: number): Set<number> {
  const sets = [...openFds(pid)].filter(([, target]) => target === "anon_inode:[eventpoll]");
  const entries = sets.flatMap(([number]) => [
    ...Deno.readTextFileSync(`/proc/${pid}/fdinfo/${number}`).matchAll(/^tfd:.* ino:(\w+)/gm),
  ]);
  return new Set(entries.map(([, inode = ""]) => parseInt(inode, 16)));
}

/** Processor time that a process has used, in seconds: utime and stime of proc(5). */
export function processorTime(pid: number): number {
  const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).replace(/^.*\) /s, "").split(" ");
  // The kernel counts in ticks of USER_HZ, which is 100 on every architecture that we know.
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
