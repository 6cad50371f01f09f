/** Binding a UNIX socket to a path where something may lie already. */

import type { Fd } from "../ffi/fd.ts";
import { SystemError } from "../ffi/errno.ts";
import { bindSocket, connectUnix } from "../ffi/socket.ts";
import { withUmask } from "../ffi/process.ts";

/** A file's identity, by which a socket is known to be still ours. */
export interface FileId {
  device: number;
  inode: number;
}

/**
 * Binds a socket to a path, in place of a stale socket (one on which nobody answers) but of nothing else.
 * @param mode permission bits that the file gets at most, from its first moment on; by default what
 *   the process's own mask leaves
 * @returns the file's identity
 * @throws {SystemError} EADDRINUSE when a live socket or another kind of file has the path
 */
export function bindUnixPath(fd: Fd, path: string, mode?: number): FileId {
  const bind = () => bindSocket(fd, { family: "unix", path });
  const bindClosed = mode === undefined ? bind : () => withUmask(0o777 & ~mode, bind);
  try {
    bindClosed();
  } catch (error) {
    if (!(error instanceof SystemError) || error.code !== "EADDRINUSE") throw error;
    const stale = staleSocket(path);
    if (stale === undefined || !takeAway(path, stale)) throw error;
    bindClosed();
  }
  return fileId(path) ?? { device: -1, inode: -1 };
}

/** The identity of the file at a path, itself and not what it links to. */
export function fileId(path: string): FileId | undefined {
  try {
    const info = Deno.lstatSync(path);
    return { device: info.dev, inode: info.ino ?? -1 };
  } catch {
    return undefined;
  }
}

/** Removes the file at a path if it is still the one given, so that a successor's is left alone. */
export function removeIfSame(path: string, id: FileId): void {
  const now = fileId(path);
  if (now?.device !== id.device || now.inode !== id.inode) return;
  try {
    Deno.removeSync(path);
  } catch {
    // Gone already, or the folder is no longer writable: a stale socket is replaced at the next start.
  }
}

/** What is known of the socket at a path if nobody listens on it. */
function staleSocket(path: string): Deno.FileInfo | undefined {
  let info: Deno.FileInfo | undefined;
  try {
    info = Deno.lstatSync(path);
    if (!info.isSocket) return undefined;
    connectUnix(path).close();
    return undefined;
  } catch (error) {
    return error instanceof SystemError && error.code === "ECONNREFUSED" ? info : undefined;
  }
}

/**
 * Removes the stale socket at a path. Another program may be doing the same and have put its live
 * socket there since we looked: what is moved aside in one step is looked at again before it is removed.
 * @returns whether the path is free now
 */
function takeAway(path: string, stale: Deno.FileInfo): boolean {
  const aside = `${path}.${crypto.randomUUID()}`;
  try {
    Deno.renameSync(path, aside);
  } catch (error) {
    return error instanceof Deno.errors.NotFound;
  }
  const moved = Deno.lstatSync(aside);
  // File systems give the inode number of a removed file to the next one, hence the time.
  const isStale = moved.dev === stale.dev && moved.ino === stale.ino &&
    moved.mtime?.getTime() === stale.mtime?.getTime();
  if (isStale) Deno.removeSync(aside);
  else Deno.renameSync(aside, path);
  return isStale;
}
