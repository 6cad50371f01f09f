/**
 * Listening on a UNIX socket at a path where something may lie already. The folder is held while files of it
 * are removed or replaced: its name may mean another one from one system call to the next.
 */

import { SystemError } from "../../ffi/errno.ts";
import { discardAll } from "../../ffi/discard.ts";
import type { Fd } from "../../ffi/fd.ts";
import { createFile, openFile, openPlace, tryLock } from "../../ffi/file.ts";
import { effectiveUid, withUmask } from "../../ffi/process.ts";
import { bindSocket, connectUnix, listenSocket, peerCredentials } from "../../ffi/socket.ts";
import { fileNumberOf } from "../../ffi/unix_diag.ts";
import { UserError } from "../errors.ts";
import { Folder, isTrusted } from "./folder.ts";

/** A file's identity, by which a socket is known to be still ours. */
export interface FileId {
  device: number;
  inode: number;
}

/** Who may connect. */
export interface Permissions {
  /** Permission bits; connecting needs the write bit. */
  mode: number;
  /** Whose the file is to be; this process's own where it does not say. */
  uid?: number;
  gid?: number;
}

const REPLACED =
  "somebody has put another file in its place, or another folder; who may write there?";

/** Tries to get a lock whose file its holder removes. */
const MAX_TRIES = 10;

/**
 * Binds a socket to a path and listens on it, in place of a stale socket (one on which nobody answers)
 * but of nothing else. No file is left when that fails.
 * @param permissions what the file has at most, from its first moment on; by default what the process's
 *   own mask leaves
 * @returns the file's identity
 * @throws {SystemError} EADDRINUSE when a live socket or another kind of file has the path, EAGAIN from
 *   flock when another program is just doing the same there
 * @throws {UserError} when somebody puts another file in its place meanwhile
 */
export function listenAtPath(
  fd: Fd,
  path: string,
  backlog: number,
  permissions?: Permissions,
): FileId {
  const given = permissions?.uid !== undefined || permissions?.gid !== undefined;
  using folder = Folder.of(path);
  // Between bind and listen the socket looks stale to another program that is starting.
  using _turn = takeTurn(path);
  bindInPlaceOfStale(fd, path, folder, given ? 0o600 : permissions?.mode);
  // A socket's address is the path that it is bound to: that cannot be one through the folder held.
  using place = placeAt(folder.file(path));
  // The folder may have been swapped for another between the two: what lies here is then not ours to remove.
  if (!place?.info.isSocket || place.info.uid !== effectiveUid()) throw new UserError(REPLACED);
  const file = place.id;
  try {
    listenSocket(fd, backlog);
    if (given) give(path, permissions);
    return file;
  } catch (error) {
    removeIfSame(path, file);
    throw error;
  }
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

/** How many sockets are closed at a time. */
const AT_ONCE = 100;

/** Closes sockets and removes their files, unless somebody else has the socket too and can go on serving. */
export function closeUnlessServed(
  sockets: readonly { fd: Fd; path: string; file: FileId }[],
): void {
  // Each takes a descriptor more while it is looked at, and there may be few left.
  for (let at = 0; at < sockets.length; at += AT_ONCE) {
    closeSomeUnlessServed(sockets.slice(at, at + AT_ONCE));
  }
}

function closeSomeUnlessServed(sockets: Parameters<typeof closeUnlessServed>[0]): void {
  // Held, so that no other file gets its number.
  const places = sockets.map(({ path }) => {
    try {
      return placeAt(path);
    } catch {
      return undefined; // Its file stays, and is replaced at the next start.
    }
  });
  const closed = discardAll(sockets.map(({ fd }) => fd));
  sockets.forEach(({ path, file }, index) => {
    using place = places[index];
    if (closed && place && !isServed(place)) removeIfSame(path, file);
  });
}

function isServed({ path }: Place): boolean {
  try {
    return servingPid(path) !== undefined;
  } catch {
    return true; // Its queue is full, or it does not let us in.
  }
}

/** Whether a path leads to a listening socket, as far as the kernel tells: it says who made it listen. */
export function leadsTo(path: string, fd: Fd): boolean {
  if (!isSocket(path)) return false;
  // One process may have made a socket there twice; the first one's file is gone then.
  const file = fileNumberOf(fd);
  if (file !== undefined && file !== (fileId(path)?.inode ?? -1) >>> 0) return false;
  try {
    return servingPid(path) === peerCredentials(fd).pid;
  } catch (error) {
    if (error instanceof SystemError) return true; // As above.
    throw error;
  }
}

/** Why a path cannot be bound that is taken (EADDRINUSE), in words. */
export function whyTaken(path: string): string {
  if (!isSocket(path)) return "the file exists and is not a socket; it is left alone";
  const holder = serverOf(path);
  return holder === undefined ? "another process serves it" : `it is served by ${holder}`;
}

/** Whether the file at a path is a socket; false when there is none. */
export function isSocket(path: string): boolean {
  try {
    return Deno.lstatSync(path).isSocket === true;
  } catch {
    return false;
  }
}

function identity({ dev, ino }: Deno.FileInfo): FileId {
  return { device: dev, inode: ino ?? -1 };
}

function isSame(one: FileId | undefined, other: FileId): boolean {
  return one?.device === other.device && one.inode === other.inode;
}

function bindInPlaceOfStale(
  fd: Fd,
  path: string,
  folder: Folder,
  mode: number | undefined,
): void {
  const bind = () => bindSocket(fd, { family: "unix", path });
  const bindClosed = mode === undefined ? bind : () => withUmask(0o777 & ~mode, bind);
  try {
    bindClosed();
  } catch (error) {
    if (codeOf(error) !== "EADDRINUSE") throw error;
    using stale = staleSocket(folder.file(path));
    if (stale === undefined || !takeAway(folder.file(path), stale.id)) throw error;
    bindClosed();
  }
}

/**
 * Gives our listening socket's file its owner, group and mode. A folder may be another user's, who could put
 * any file in its place: what is changed is held by a descriptor, after it was seen to be ours.
 */
function give(path: string, { mode, uid, gid }: Permissions): void {
  using place = placeAt(path);
  if (place === undefined || servingPid(place.path) !== Deno.pid) {
    throw new UserError(REPLACED);
  }
  Deno.chmodSync(place.path, 0);
  Deno.chownSync(place.path, uid ?? null, gid ?? null);
  Deno.chmodSync(place.path, mode);
}

/** A file that is held: the path leads to it, whatever becomes of its name, and its number to no other. */
interface Place extends Disposable {
  path: string;
  id: FileId;
  info: Deno.FileInfo;
}

/** Holds the file at a path. @returns undefined for none, and for a link */
function placeAt(path: string): Place | undefined {
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

function infoOf(fd: Fd): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(pathOf(fd));
  } catch {
    return undefined;
  }
}

/** The socket at a path if nobody listens on it. */
function staleSocket(path: string): Place | undefined {
  const place = placeAt(path);
  try {
    if (place?.info.isSocket && servingPid(place.path) === undefined) return place;
  } catch (error) {
    if (codeOf(error) === "EMFILE") throw error;
  }
  place?.[Symbol.dispose]();
  return undefined;
}

/**
 * Removes the stale socket at a path. A program that knows nothing of our turns may have put its live
 * socket there since we looked: what is moved aside in one step is looked at again before it is removed.
 * @param path in a folder that is held
 * @returns whether the path is free now
 */
function takeAway(path: string, stale: FileId): boolean {
  const aside = `${path}.${crypto.randomUUID()}`;
  try {
    Deno.renameSync(path, aside);
  } catch (error) {
    return error instanceof Deno.errors.NotFound;
  }
  const isStale = isSame(fileId(aside), stale);
  if (isStale) Deno.removeSync(aside);
  else Deno.renameSync(aside, path);
  return isStale;
}

/**
 * Has the programs that bind a path take turns, until the end of the scope. The lock is on a file beside it
 * that no other user can open: a lock on anything else could be held by whoever likes, for ever.
 * @returns undefined when there cannot be such a file, which binding explains if it matters
 * @throws {SystemError} EAGAIN when another program has its turn
 */
function takeTurn(path: string): Disposable | undefined {
  const name = `${path}.lock`;
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const file = lockFile(name);
    if (file === undefined) return undefined;
    if (!tryLock(file)) {
      file.close();
      throw new SystemError("flock", EAGAIN);
    }
    const info = infoOf(file);
    const id = info && identity(info);
    // Unless whoever had it before has removed it.
    if (id && isSame(fileId(name), id)) {
      return {
        [Symbol.dispose]() {
          removeIfSame(name, id);
          file.close();
        },
      };
    }
    file.close();
  }
  return undefined;
}

const EAGAIN = 11;

function lockFile(name: string): Fd | undefined {
  try {
    return createFile(name);
  } catch (error) {
    if (codeOf(error) === "EMFILE") throw error;
    if (codeOf(error) !== "EEXIST") return undefined;
  }
  // Of a program that was killed, or has its turn.
  using place = placeAt(name);
  const isOurs = place?.info.isFile && isTrusted(place.info.uid) &&
    ((place.info.mode ?? 0) & 0o077) === 0;
  // Anybody else could hold a lock on it for ever.
  if (!place || !isOurs) return undefined;
  try {
    return openFile(place.path);
  } catch (error) {
    if (codeOf(error) === "EMFILE") throw error;
    return undefined;
  }
}

/** Command and pid of the process that listens at a path, as far as it can be seen. */
function serverOf(path: string): string | undefined {
  try {
    const pid = servingPid(path);
    return pid ? `${Deno.readTextFileSync(`/proc/${pid}/comm`).trim()} (pid ${pid})` : undefined;
  } catch {
    return undefined;
  }
}

/** The process that listens on a socket: 0 when it is in a pid namespace that cannot be seen. */
function servingPid(path: string): number | undefined {
  try {
    using connection = connectUnix(path);
    return peerCredentials(connection).pid;
  } catch (error) {
    if (codeOf(error) === "ECONNREFUSED") return undefined;
    throw error;
  }
}

/** errno's name; undefined for what is no system call's failure. */
function codeOf(error: unknown): string | undefined {
  return error instanceof SystemError ? error.code : undefined;
}
