/**
 * How many clients a process serves, as /proc tells (proc(5)): the sockets that it has open, and of these
 * the established TCP connections to a port on which somebody listens. It must be in our own network
 * namespace; what became of a connection in the last half second may be missing.
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
    const rows = connections();
    const listening = new Set(rows.filter(({ state }) => state === LISTEN).map(({ port }) => port));
    return rows.filter(({ port, state, inode }) =>
      state === ESTABLISHED && listening.has(port) && inodes.has(inode)
    ).length;
  } catch {
    return undefined;
  }
}

/** The tables of this process's network, read at most once in that many milliseconds: they can be long. */
const FRESH = 500;
let table: { rows: Row[]; at: number } = { rows: [], at: -Infinity };

function connections(): Row[] {
  if (performance.now() - table.at > FRESH) {
    const rows = ["tcp", "tcp6"].flatMap((name) => rowsOf(`/proc/self/net/${name}`));
    table = { rows, at: performance.now() };
  }
  return table.rows;
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
  return textOf(table).split("\n").slice(1).filter((line) => line !== "")
    .map((line) => line.trim().split(/\s+/))
    .map(([, local = "", , state = "", , , , , , inode = ""]) => {
      return { port: local.slice(local.lastIndexOf(":") + 1), state, inode };
    });
}

/** Without IPv6 there is no table for it. */
function textOf(table: string): string {
  try {
    return Deno.readTextFileSync(table);
  } catch {
    return "";
  }
}
