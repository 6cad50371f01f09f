/** Files by their identity, and held by a descriptor, so that what is done to one is done to no other. */

import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { openPlace } from "../../ffi/file.ts";
import { Folder } from "./folder.ts";

/** A file's identity, by which a socket is known to be still ours. */
export interface FileId {
  device: number;
  inode: number;
}

/** The identity of the file at a path, itself and not what it links to. */
export function fileId(path: string): FileId | undefined {
  try {
    return identity(Deno.lstatSync(path));
  } catch {
    return undefined;
  }
}

/** Removes the file at a path if it is still the one given, so that a successor's is left alone. */
export function removeIfSame(path: string, id: FileId): void {
  try {
    using folder = Folder.of(path);
    const file = folder.file(path);
    if (isSame(fileId(file), id)) Deno.removeSync(file);
  } catch {
    // Gone already, or the folder is no longer writable: a stale socket is replaced at the next start.
  }
}

/** A file that is held: the path leads to it, whatever becomes of its name, and its number to no other. */
export interface Place extends Disposable {
  path: string;
  id: FileId;
  info: Deno.FileInfo;
}

/** Holds the file at a path. @returns undefined for none, and for a link */
export function placeAt(path: string): Place | undefined {
  let fd: Fd;
  try {
    fd = openPlace(path);
  } catch (error) {
    if (codeOf(error) === "EMFILE") throw error;
    return undefined;
  }
  const info = infoOf(fd);
  if (info && isSame(fileId(path), identity(info))) {
    return {
      path: pathOf(fd),
      id: identity(info),
      info,
      [Symbol.dispose]: () => fd.close(),
    };
  }
  fd.close();
  return undefined;
}

/** The path by which this process has what a descriptor is open on. */
function pathOf(fd: Fd): string {
  return `/proc/self/fd/${fd.number}`;
}

/** What stat(2) says of the file that a descriptor is open on. */
export function infoOf(fd: Fd): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(pathOf(fd));
  } catch {
    return undefined;
  }
}

/** The identity of a file. */
export function identity({ dev, ino }: Deno.FileInfo): FileId {
  return { device: dev, inode: ino ?? -1 };
}

/** Whether two are the same file. */
export function isSame(one: FileId | undefined, other: FileId): boolean {
  return one?.device === other.device && one.inode === other.inode;
}

/** errno's name; undefined for what is no system call's failure. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof SystemError ? error.code : undefined;
}
