/** How a request over a control socket can fail: nobody who is meant answers, or the request is refused. */

import type { SystemError } from "../../ffi/errno.ts";
import { UserError } from "../errors.ts";
import type { ExpectedPeer } from "./expected_peer.ts";

/**
 * Nobody could be reached at a control socket, or none that answers as is expected. `code` is errno's name;
 * EPERM when somebody answers who is not the binder.
 */
export class NoBinderError extends UserError {
  /** The class's name. */
  override readonly name = "NoBinderError";

  /** The control socket was tried at `path`. */
  constructor(readonly path: string, readonly code: string, message: string, cause?: unknown) {
    super(message, { cause });
  }
}

/** What was asked for was refused. `data.code` is errno's name, where a system call failed. */
export class RefusedError extends UserError {
  /** The class's name. */
  override readonly name = "RefusedError";

  /** `code` is that of JSON-RPC, or 10000 for a bind that failed. */
  constructor(
    readonly code: number,
    message: string,
    readonly data: { code?: string; address?: string } | undefined,
  ) {
    super(message);
  }
}

/** Whether nobody listens on a control socket, or too many wait to be accepted: a later attempt may succeed. */
export function isAbsent(error: unknown): boolean {
  return error instanceof NoBinderError &&
    ["ENOENT", "ECONNREFUSED", "EAGAIN"].includes(error.code);
}

/** The error of a connect(2) that failed. */
export function unreachable(path: string, error: SystemError, peer: ExpectedPeer): NoBinderError {
  const message = `${peer.nobody} at ${path}: ${reason(error, peer)}`;
  return new NoBinderError(path, error.code, message, error);
}

function reason(error: SystemError, peer: ExpectedPeer): string {
  switch (error.code) {
    case "ENOENT":
      return `there is no such file (ENOENT); ${peer.hint}`;
    case "ECONNREFUSED":
      return `nobody listens on that socket (ECONNREFUSED); ${peer.hint}`;
    case "EAGAIN":
      return "too many clients wait to be accepted (EAGAIN)";
    case "EACCES":
      return `no permission (EACCES); ${peer.access}`;
    default:
      return error.message;
  }
}
