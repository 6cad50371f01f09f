/**
 * How many clients a process serves, as /proc tells (proc(5)): of the sockets that it has open, those that are
 * established TCP connections to an address on which somebody listens. The process must be in our own network
 * namespace, and the answer may be half a second old.
 * @module
 */

import { descriptorsOf, inodeIn } from "../proc.ts";

/** States of a socket in /proc/net/tcp (include/net/tcp_states.h). */
const ESTABLISHED = "01";
const LISTEN = "0A";
/** The address of a socket that listens on all of them. */
const ANY = /^0+$/;

interface Row {
  /** The local address and port, in the table's hexadecimal digits. */
  address: string;
  port: string;
  state: string;
  inode: number;
}

/** Milliseconds that a count may take: a hard stop waits for it, and there may be a million connections. */
const PATIENCE = 500;

/** Milliseconds without a count after one that was given up: several generations may be stopped together. */
const PAUSE = 10_000;
/** Until when no count is begun. */
let pausedUntil = -Infinity;

/**
 * Counts the clients of a process.
 * @param patience milliseconds that this may take
 * @returns undefined when they cannot be seen, because the process has ended or is another user's, and when there is
 *   too much to look at
 */
export function clientConnections(pid: number, patience = PATIENCE): number | undefined {
  const start = performance.now();
  if (start < pausedUntil) return undefined;
  const deadline = start + patience;
  try {
    const inodes = new Set(socketInodes(pid, deadline));
    const rows = connections(deadline);
    // The port alone does not tell: a connection that the process has made may have the number of a listening one.
    const listening = new Set(
      rows.filter(({ state }) => state === LISTEN).map(({ address, port }) =>
        `${ANY.test(address) ? "" : address}:${port}`
      ),
    );
    return rows.filter(({ address, port, state, inode }) =>
      state === ESTABLISHED && inodes.has(inode) &&
      (listening.has(`:${port}`) || listening.has(`${address}:${port}`))
    ).length;
  } catch {
    return undefined;
  }
}

/** Milliseconds for which the tables of this network namespace are used again once they are read: they can be long. */
const FRESH = 500;
let table: { rows: Row[]; at: number } = { rows: [], at: -Infinity };

function connections(deadline: number): Row[] {
  if (performance.now() - table.at > FRESH) {
    const rows = ["tcp", "tcp6"].flatMap((name) => rowsOf(`/proc/self/net/${name}`, deadline));
    table = { rows, at: performance.now() };
  }
  return table.rows;
}

function socketInodes(pid: number, deadline: number): number[] {
  const inodes = [];
  for (const [, what] of descriptorsOf(pid)) {
    insistOnTime(deadline);
    inodes.push(inodeIn(what) ?? -1);
  }
  return inodes;
}

/**
 * A row in one of these states: number, local address and port, remote address and port, state, and as its tenth
 * field the inode. Under load most rows are of connections that have ended (TIME_WAIT), which cost little this way.
 */
const ROW = new RegExp(
  `^ *\\d+: (\\w+):(\\w{4}) \\w+:\\w{4} (${ESTABLISHED}|${LISTEN}) \\S+ \\S+ \\S+ +\\d+ +\\d+ (\\d+)`,
  "gm",
);

function rowsOf(table: string, deadline: number): Row[] {
  return [...textOf(table, deadline).matchAll(ROW)]
    .map(([, address = "", port = "", state = "", inode]) => ({
      address,
      port,
      state,
      inode: Number(inode),
    }));
}

/** The text of a table; empty when there is none, as for IPv6 on a machine without it. */
function textOf(table: string, deadline: number): string {
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(table);
  } catch {
    return "";
  }
  using _ = file;
  const [decoder, buffer] = [new TextDecoder(), new Uint8Array(64 * 1024)];
  let text = "";
  // The kernel makes it one page at a time.
  for (let read = file.readSync(buffer); read !== null; read = file.readSync(buffer)) {
    insistOnTime(deadline);
    text += decoder.decode(buffer.subarray(0, read));
  }
  return text;
}

function insistOnTime(deadline: number): void {
  const now = performance.now();
  if (now <= deadline) return;
  pausedUntil = now + PAUSE;
  throw new Error("it takes too long");
}
