/**
 * Reading what /proc tells of processes (proc(5)). A process may end while it is looked at, or be another user's:
 * what cannot be read is empty.
 */

import { folderNames } from "../ffi/file.ts";

/** The text of a file; empty when it cannot be read. */
export function textAt(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}

/** Where a link leads; empty when it cannot be read. */
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

/** The pids of all processes that can be seen, read one by one as the caller asks for them. */
export function* processes(): Generator<number> {
  for (const name of folderNames("/proc")) {
    if (/^\d+$/.test(name)) yield Number(name);
  }
}

/**
 * The descriptors of a process, each with what its link in /proc says it is, such as `socket:[INODE]`. They are
 * read one by one as the caller asks for them.
 * @throws {SystemError} EACCES where they may not be looked at, ENOENT or ESRCH for a process that has ended
 */
export function* descriptorsOf(pid: number): Generator<[number: number, what: string]> {
  for (const name of folderNames(`/proc/${pid}/fd`)) {
    yield [Number(name), linkAt(`/proc/${pid}/fd/${name}`)];
  }
}

/** The inode in what such a link says; undefined when it is no socket's. */
export function inodeIn(what: string): number | undefined {
  const inode = /^socket:\[(\d+)\]$/.exec(what)?.[1];
  return inode === undefined ? undefined : Number(inode);
}
