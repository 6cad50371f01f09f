/** The binder's control socket as a file: its place, mode and owner. */

import { AF_UNIX, SOCK_NONBLOCK, SOCK_STREAM } from "../../ffi/constants.ts";
import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { MAX_UNIX_PATH } from "../../ffi/sockaddr.ts";
import { createSocket, listenSocket } from "../../ffi/socket.ts";
import { messageOf, UserError } from "../errors.ts";
import { bindUnixPath, type FileId, fileId, removeIfSame } from "../unix_path.ts";

/** Clients that may wait to be accepted; the kernel caps it at net.core.somaxconn. */
const BACKLOG = 4096;

/** Whose the file is to be; this process's own where it does not say. */
export interface Owner {
  uid?: number;
  gid?: number;
}

export interface ControlSocket {
  fd: Fd;
  path: string;
  file: FileId;
}

/**
 * Listens on a path. The file is never more open than `mode`, and nobody can connect before its owner
 * and group are right.
 * @param mode permission bits; connecting needs the write bit
 * @param owner whom it is given to
 * @throws {UserError}
 */
export function listenOn(path: string, mode: number, owner: Owner = {}): ControlSocket {
  const length = new TextEncoder().encode(path).length;
  if (length > MAX_UNIX_PATH) {
    throw new UserError(
      `control socket ${path}: the path has ${length} bytes, and a UNIX socket's has at most ` +
        `${MAX_UNIX_PATH}`,
    );
  }
  const { uid, gid } = owner;
  const given = uid !== undefined || gid !== undefined;
  // Between bind and listen the socket looks stale to another binder that is starting.
  using _lock = lockFolder(path);
  const fd = createSocket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK);
  let file: FileId | undefined;
  try {
    file = bindUnixPath(fd, path, given ? 0 : mode);
    if (given) {
      Deno.chownSync(path, uid ?? null, gid ?? null);
      Deno.chmodSync(path, mode);
    }
    listenSocket(fd, BACKLOG);
    return { fd, path, file };
  } catch (error) {
    if (file !== undefined) removeIfSame(path, file);
    fd.close();
    throw new UserError(`control socket ${path}: ${why(path, error)}`, { cause: error });
  }
}

/** Closes the socket and removes its file, unless another binder's has taken the place. */
export function removeControlSocket({ fd, path, file }: ControlSocket): void {
  removeIfSame(path, file);
  fd.close();
}

/**
 * Has the binders that start in one folder take turns, until the end of the scope.
 * @returns undefined when the folder cannot be read, which binding explains if it matters
 */
function lockFolder(path: string): Disposable | undefined {
  try {
    const folder = Deno.openSync(path.slice(0, path.lastIndexOf("/") + 1) || ".");
    folder.lockSync(true);
    return folder;
  } catch {
    return undefined;
  }
}

function why(path: string, error: unknown): string {
  if (!(error instanceof SystemError)) return messageOf(error);
  switch (error.code) {
    case "ENOENT":
      return "its folder does not exist (ENOENT)";
    case "EACCES":
      return "no permission to create it there (EACCES)";
    case "EADDRINUSE":
      return fileId(path) !== undefined && Deno.lstatSync(path).isSocket
        ? "another multibinder serves it (EADDRINUSE); stop that one, or upgrade it with SIGUSR1"
        : "the file exists and is not a socket; it is left alone (EADDRINUSE)";
    default:
      return error.message;
  }
}
