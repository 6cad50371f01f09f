/**
 * What /proc tells of processes (proc(5)). Any of them may end while it is looked at, or be another user's: what
 * cannot be read is empty.
 */

import { folderNames } from "../ffi/file.ts";

/** The text of a file. */
export function textAt(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}

/** Where a link leads. */
export function linkAt(path: string): string {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return "";
  }
}

/** The name of the program that a process runs, as the kernel has it. */
export function commandOf(pid: number): string {
  return textAt(`/proc/${pid}/comm`).trim();
}

/** The pids of the processes to be seen, read as they are asked for. */
export function* processes(): Generator<number> {
  for (const name of folderNames("/proc")) {
    if (/^\d+$/.test(name)) yield Number(name);
  }
}

/**
 * The descriptors of a process, read as they are asked for, and what each of them is, as `socket:[INODE]`.
 * @throws {SystemError} EACCES where they may not be looked at, ENOENT or ESRCH for a process that has ended
 */
export function* descriptorsOf(pid: number): Generator<[number: number, what: string]> {
  for (const name of folderNames(`/proc/${pid}/fd`)) {
    yield [Number(name), linkAt(`/proc/${pid}/fd/${name}`)];
  }
}

/** The inode of a socket that is a descriptor; undefined for what else it may be. */
export function inodeIn(what: string): number | undefined {
  const inode = /^socket:\[(\d+)\]$/.exec(what)?.[1];
  return inode === undefined ? undefined : Number(inode);
}
