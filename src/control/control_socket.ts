/** Making a control socket: at a path, with a mode and an owner, or under a name in the abstract namespace. */

import { AF_UNIX, SOCK_NONBLOCK, SOCK_STREAM } from "../../ffi/constants.ts";
import { SystemError } from "../../ffi/errno.ts";
import { discard, discardNow } from "../../ffi/discard.ts";
import type { Fd } from "../../ffi/fd.ts";
import { MAX_UNIX_PATH } from "../../ffi/sockaddr.ts";
import { bindSocket, createSocket, listenSocket } from "../../ffi/socket.ts";
import { messageOf, UserError } from "../errors.ts";
import { type FileId, removeIfSame } from "../sockets/place.ts";
import { isLeftOver, isSocket, listenAtPath, whyTaken } from "../sockets/unix_path.ts";

/** Clients that may wait to be accepted; the kernel caps it at net.core.somaxconn. */
const BACKLOG = 4096;

/**
 * Milliseconds to wait for what a killed process has left: the process that it had started to close descriptors
 * has copies of them all for a moment longer (ffi/discard.ts).
 */
const LEFT_OVER = 3000;
const RETRY = 20;

/** Whose the file is to be; this process's own where it does not say. */
export interface Owner {
  uid?: number;
  gid?: number;
}

/** A control socket that listens. */
export interface ControlSocket {
  fd: Fd;
  /** Where its clients find it: a path, or `@` and a name in the abstract namespace. */
  path: string;
  /** The file at that path; of an abstract name, and of a unit of systemd, one that no file has. */
  file: FileId;
}

/** Waits a little while a socket at a path still listens, in a copy, though its process has ended. */
export async function leftOverGone(path: string): Promise<void> {
  const end = performance.now() + LEFT_OVER;
  while (isLeftOver(path) && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, RETRY));
  }
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
  let fd: Fd | undefined;
  try {
    fd = createSocket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK);
    return { fd, path, file: listenAtPath(fd, path, BACKLOG, { mode, ...owner }) };
  } catch (error) {
    fd?.close();
    throw new UserError(`control socket ${path}: ${why(path, error)}`, { cause: error });
  }
}

/**
 * Listens on a name of its own in the abstract namespace (unix(7)): it needs no folder to write to, is in nobody's
 * way in a shared one, and is gone with the process. Whoever is in the network namespace may connect.
 * @returns the name with an `@` before it as the path
 * @throws {SystemError}
 */
export function listenUnnamed(): ControlSocket {
  const path = `@multibinder-${crypto.randomUUID()}`;
  const fd = createSocket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK);
  try {
    bindSocket(fd, { family: "unix", path: path.replace("@", "\0") });
    listenSocket(fd, BACKLOG);
    return { fd, path, file: { device: -1, inode: -1 } };
  } catch (error) {
    fd.close();
    throw error;
  }
}

/** Closes the socket and removes its file, if it has one, unless another binder's has taken the place. */
export function removeControlSocket({ fd, path, file }: ControlSocket): void {
  if (!path.startsWith("@")) removeIfSame(path, file);
  // With it the kernel closes the connections that wait to be accepted.
  discard(fd);
  discardNow();
}

function why(path: string, error: unknown): string {
  if (!(error instanceof SystemError)) return messageOf(error);
  switch (error.code) {
    case "ENOENT":
      return "its folder does not exist (ENOENT)";
    case "EACCES":
      return "no permission to create it there (EACCES)";
    case "EADDRINUSE":
      return isSocket(path)
        ? `${whyTaken(path)} (EADDRINUSE); stop that one, or upgrade it with SIGUSR1`
        : `${whyTaken(path)} (EADDRINUSE)`;
    case "EAGAIN":
      return "another program is just being started there (EAGAIN)";
    default:
      return messageOf(error);
  }
}
