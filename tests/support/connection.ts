/** UNIX connections within this process, without a file. */

import "./libc.ts";
import { AF_UNIX, SOCK_NONBLOCK, SOCK_STREAM } from "../../ffi/constants.ts";
import type { Fd } from "../../ffi/fd.ts";
import {
  acceptSocket,
  bindSocket,
  connectUnix,
  createSocket,
  listenSocket,
} from "../../ffi/socket.ts";

/** A listening socket in the abstract namespace. `path` is for `connectUnix`. */
export function listenAbstract(): { fd: Fd; path: string } {
  const path = `\0multibinder-test-${crypto.randomUUID()}`;
  const fd = createSocket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK);
  bindSocket(fd, { family: "unix", path });
  listenSocket(fd, 128);
  return { fd, path };
}

/** Both ends of a connection; the caller closes them. */
export function connectedPair(): [Fd, Fd] {
  const { fd, path } = listenAbstract();
  using listening = fd;
  const near = connectUnix(path);
  const far = acceptSocket(listening);
  if (far === undefined) throw new Error("nobody waits to be accepted");
  return [near, far];
}
