/**
 * How many clients a process serves, as /proc tells (proc(5)): the sockets that it has open, and of these
 * the established TCP connections to a port on which somebody listens.
 * @module
 */

/** States of a socket in /proc/net/tcp (include/net/tcp_states.h). */
const ESTABLISHED = "01";
const LISTEN = "0A";

interface Row {
  port: string;
  state: string;
  inode: string;
}

/** @returns undefined when it cannot be seen: it has ended, or is another user's */
export function clientConnections(pid: number): number | undefined {
  try {
    const inodes = new Set(socketInodes(pid));
    const rows = ["tcp", "tcp6"].flatMap((table) => rowsOf(`/proc/${pid}/net/${table}`));
    const listening = new Set(rows.filter(({ state }) => state === LISTEN).map(({ port }) => port));
    return rows.filter(({ port, state, inode }) =>
      state === ESTABLISHED && listening.has(port) && inodes.has(inode)
    ).length;
  } catch {
    return undefined;
  }
}

function socketInodes(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  return [...Deno.readDirSync(folder)].flatMap(({ name }) => {
    try {
      return /^socket:\[(\d+)\]$/.exec(Deno.readLinkSync(`${folder}/${name}`))?.[1] ?? [];
    } catch {
      return []; // It was closed meanwhile.
    }
  });
}

/** The columns: number, local address and port, remote address and port, state, and the inode as tenth. */
function rowsOf(table: string): Row[] {
  return Deno.readTextFileSync(table).split("\n").slice(1).filter((line) => line !== "")
    .map((line) => line.trim().split(/\s+/))
    .map(([, local = "", , state = "", , , , , , inode = ""]) => {
      return { port: local.slice(local.lastIndexOf(":") + 1), state, inode };
    });
}
