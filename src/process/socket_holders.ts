/**
 * Which processes have sockets open, as /proc tells (proc(5)). multibinder's own processes and systemd, which keep
 * sockets for others and accept nothing, are left out.
 * @module
 */

import { SystemError } from "../../ffi/errno.ts";
import { commandOf, descriptorsOf, inodeIn, linkAt, processes, textAt } from "../proc.ts";
import { marksIn } from "./marks.ts";

/** A process that has one of the sockets open. */
export interface Holder {
  pid: number;
  /** The program's name, as the kernel has it. */
  command: string;
  /** Its unit of systemd, or null. */
  unit: string | null;
  /** The beginning of its container's id, or null. */
  container: string | null;
  /** Whose generation it says to be; null for a process that no wrapper has started. */
  generation: { service: string; wrapper: number; number: number | null } | null;
}

/** What a search has found. */
export interface Holders {
  /** By the sockets' inodes. A socket without a holder is absent. */
  byInode: ReadonlyMap<number, readonly Holder[]>;
  /** Whether every process of this machine was looked at: then there is no holder that was not found. */
  complete: boolean;
}

/** How to search. */
export interface Search {
  /** Processes to look at first, each with its descendants. */
  first: Iterable<number>;
  /** Processes that are known to serve nobody. */
  skip: ReadonlySet<number>;
  /** Called often, so that other work has its turn: what it returns is awaited. */
  pause: () => Promise<void> | undefined;
  /** Milliseconds of work after which the search is given up. */
  maxWork: number;
}

/** The first PID namespace, in which all processes can be seen (PROC_PID_INIT_INO of linux/proc_ns.h). */
const FIRST_NAMESPACE = "pid:[4026531836]";

/**
 * Searches for the processes that have sockets open.
 * @param inodes of the sockets
 */
export async function findHolders(
  inodes: Iterable<number>,
  { first, skip, pause, maxWork }: Search,
): Promise<Holders> {
  const wanted = new Set(inodes);
  const byInode = new Map<number, Holder[]>();
  let complete = linkAt("/proc/self/ns/pid") === FIRST_NAMESPACE;
  if (wanted.size === 0) return { byInode, complete };
  let work = 0;
  let since = performance.now();
  for (const pid of beginningWith(first)) {
    if (skip.has(pid) || servesNobody(pid)) continue;
    const seen = new Set<number>();
    let holder: Holder | undefined;
    try {
      for (const [, what] of descriptorsOf(pid)) {
        const inode = inodeIn(what) ?? -1;
        if (wanted.has(inode) && !seen.has(inode)) {
          seen.add(inode);
          holder ??= describeProcess(pid);
          byInode.set(inode, [...byInode.get(inode) ?? [], holder]);
        }
        const turn = pause();
        if (turn === undefined) continue;
        work += performance.now() - since;
        await turn;
        since = performance.now();
        if (work > maxWork) return { byInode, complete: false };
      }
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      // The process has ended; or it is another user's, and may have any of the sockets.
      if (error.code !== "ENOENT" && error.code !== "ESRCH") complete = false;
    }
  }
  return { byInode, complete };
}

/** The pids of all processes that can be seen, those in `first` and their descendants before the others. */
function* beginningWith(first: Iterable<number>): Generator<number> {
  const seen = new Set<number>();
  const waiting = [...first].filter((pid) => pid > 0);
  for (let pid = waiting.shift(); pid !== undefined; pid = waiting.shift()) {
    if (seen.has(pid)) continue;
    seen.add(pid);
    yield pid;
    const children = textAt(`/proc/${pid}/task/${pid}/children`);
    waiting.push(...children.split(" ").filter((child) => child !== "").map(Number));
  }
  // Process 1 is looked at in any case: where other users' processes are hidden (hidepid=), it is too.
  if (!seen.has(1)) yield 1;
  for (const pid of processes()) {
    if (pid > 1 && !seen.has(pid)) yield pid;
  }
}

/** Whether a process only keeps sockets, as a binder, a wrapper, and systemd's fd store do. */
function servesNobody(pid: number): boolean {
  const program = programOf(String(pid));
  return program !== "" && program === programOf("self") ||
    pid === 1 && commandOf(1) === "systemd";
}

/** The name of the file that a process runs, which may have been replaced since. */
function programOf(process: string): string {
  return linkAt(`/proc/${process}/exe`).replace(/ \(deleted\)$/, "").replace(/^.*\//, "");
}

function describeProcess(pid: number): Holder {
  const marks = marksIn(textAt(`/proc/${pid}/environ`).split("\0"));
  return {
    pid,
    command: commandOf(pid),
    ...placeOf(textAt(`/proc/${pid}/cgroup`)),
    generation: marks === undefined
      ? null
      : { service: marks.service, wrapper: marks.wrapper, number: marks.generation },
  };
}

/** A container's id is 64 hexadecimal digits, with the engine's name before them or not. */
const CONTAINER = /\b(?:[a-z]+-)?([0-9a-f]{12})[0-9a-f]{52}\b/;
const UNIT = /\/([^/]+\.(?:service|scope))(?=\/|$)/g;

/**
 * Where a process runs.
 * @param cgroups the text of its /proc/PID/cgroup (cgroups(7))
 */
export function placeOf(cgroups: string): Pick<Holder, "unit" | "container"> {
  const container = CONTAINER.exec(cgroups)?.[1] ?? null;
  // The innermost: a user's services are below a service of the system.
  const units = cgroups.split("\n").filter((line) => /^(?:0::|\d+:name=systemd:)/.test(line))
    .flatMap((line) => [...line.matchAll(UNIT)].map(([, unit = ""]) => unit));
  return { unit: container === null ? units.at(-1) ?? null : null, container };
}
