/**
 * Listening on a UNIX socket at a path where something may lie already. The folder is held while files of it
 * are removed or replaced: its name may mean another one from one system call to the next.
 */

import { SystemError } from "../../ffi/errno.ts";
import { discardAll } from "../../ffi/discard.ts";
import type { Fd } from "../../ffi/fd.ts";
import { openProcess } from "../../ffi/pidfd.ts";
import { effectiveUid, withUmask } from "../../ffi/process.ts";
import {
  bindSocket,
  listenerCredentials,
  listenSocket,
  peerCredentials,
} from "../../ffi/socket.ts";
import { fileNumberOf } from "../../ffi/unix_diag.ts";
import { UserError } from "../errors.ts";
import { commandOf } from "../proc.ts";
import { Folder } from "./folder.ts";
import { codeOf, type FileId, fileId, isSame, type Place, placeAt, removeIfSame } from "./place.ts";
import type { SocketOptions } from "./socket_options.ts";
import { takeTurn } from "./turn.ts";
import { type Permissions, permissionsOf } from "./unix_permissions.ts";

const EPERM = 1;

const REPLACED =
  "somebody has put another file in its place, or another folder; who may write there?";

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
  using _turn = takeTurn(folder.file(path));
  bindInPlaceOfStale(fd, path, folder, given ? 0o600 : permissions?.mode);
  // A socket's address is the path that it is bound to: that cannot be one through the folder held.
  using place = placeAt(folder.file(path));
  // The folder may have been swapped for another between the two: what lies here is then not ours to remove.
  if (!place?.info.isSocket || place.info.uid !== effectiveUid()) throw new UserError(REPLACED);
  const file = place.id;
  try {
    listenSocket(fd, backlog);
    if (given) give(fd, path, permissions);
    return file;
  } catch (error) {
    removeIfSame(path, file);
    throw error;
  }
}

/** How many sockets are closed at a time. */
const AT_ONCE = 100;

/** Closes sockets, and removes the files of those that no other process has and goes on serving. */
export function closeUnlessServed(
  sockets: readonly { fd: Fd; path: string; file: FileId }[],
): void {
  // Each takes a descriptor more while it is looked at, and there may be few left.
  for (let at = 0; at < sockets.length; at += AT_ONCE) {
    closeSomeUnlessServed(sockets.slice(at, at + AT_ONCE));
  }
}

function closeSomeUnlessServed(sockets: Parameters<typeof closeUnlessServed>[0]): void {
  // The files are held, so that no other file gets the number of one of them.
  const places = sockets.map(({ path }) => {
    try {
      return placeAt(path);
    } catch {
      return undefined; // Its file stays, and is replaced at the next start.
    }
  });
  // A process apart closes them, since that may wait. After this call nobody can connect any more.
  discardAll(sockets.map(({ fd }) => fd));
  sockets.forEach(({ path, file }, index) => {
    using place = places[index];
    if (place && !isServed(place)) removeIfSame(path, file);
  });
}

function isServed({ path }: Place): boolean {
  try {
    return servingPid(path) !== undefined;
  } catch {
    return true; // Its accept queue is full, or we may not connect.
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
    if (error instanceof SystemError) return true; // Its accept queue is full, or we may not connect.
    throw error;
  }
}

/** Whether a socket at a path listens, but the process that made it listen has ended. */
export function isLeftOver(path: string): boolean {
  if (!isSocket(path)) return false;
  try {
    const pid = servingPid(path);
    if (!pid) return false;
    using process = openProcess(pid);
    return process === undefined;
  } catch (error) {
    if (error instanceof SystemError) return false; // It is not for us to look at.
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
 * Gives a listening socket's file its owner, group and mode. A folder may be another user's, who could put
 * any file in its place: what is changed is held by a descriptor, after it was seen to be the socket's.
 */
function give(fd: Fd, path: string, { mode, uid, gid }: Permissions): void {
  using place = placeAt(path);
  if (place === undefined || servingPid(place.path) !== peerCredentials(fd).pid) {
    throw new UserError(REPLACED);
  }
  try {
    Deno.chmodSync(place.path, 0);
    Deno.chownSync(place.path, uid ?? null, gid ?? null);
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) throw new SystemError("chown", EPERM);
    throw error;
  } finally {
    Deno.chmodSync(place.path, mode);
  }
}

/**
 * Gives the file of a listening socket the owner, group and mode that options name.
 * @throws {SystemError} EPERM
 * @throws {UserError} when the file is another's, or for a user or group that is not known
 */
export function conformFile(fd: Fd, path: string, options: SocketOptions): void {
  const wanted = permissionsOf(options);
  if (wanted === undefined) return;
  using place = placeAt(path);
  if (place === undefined) throw new UserError(REPLACED);
  const { uid, gid, mode } = place.info;
  const now = { uid, gid, mode: (mode ?? 0) & 0o777 };
  const meant = { ...now, ...wanted, ...(options.mode === undefined && { mode: now.mode }) };
  const isSo = meant.uid === uid && meant.gid === gid && meant.mode === now.mode;
  if (!isSo) give(fd, path, { ...wanted, mode: meant.mode });
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

/** Command and pid of the process that listens at a path, as far as it can be seen. */
function serverOf(path: string): string | undefined {
  try {
    const pid = servingPid(path);
    return pid ? `${commandOf(pid)} (pid ${pid})` : undefined;
  } catch {
    return undefined;
  }
}

/** The process that listens on a socket: 0 when its pid namespace cannot be seen, undefined when there is none. */
function servingPid(path: string): number | undefined {
  try {
    return listenerCredentials(path).pid;
  } catch (error) {
    if (codeOf(error) === "ECONNREFUSED") return undefined;
    throw error;
  }
}
