/** errno, and the only exception that a failed system call becomes. */

import { RLIMIT_NOFILE } from "./constants.ts";
import { libc } from "./libc.ts";

/** Names of the errno values of Linux (asm-generic/errno-base.h, errno.h) that the calls made here can give. */
const NAMES: Record<number, string> = {
  1: "EPERM",
  2: "ENOENT",
  3: "ESRCH",
  4: "EINTR",
  5: "EIO",
  6: "ENXIO",
  7: "E2BIG",
  8: "ENOEXEC",
  9: "EBADF",
  10: "ECHILD",
  11: "EAGAIN",
  12: "ENOMEM",
  13: "EACCES",
  14: "EFAULT",
  16: "EBUSY",
  17: "EEXIST",
  18: "EXDEV",
  19: "ENODEV",
  20: "ENOTDIR",
  21: "EISDIR",
  22: "EINVAL",
  23: "ENFILE",
  24: "EMFILE",
  26: "ETXTBSY",
  27: "EFBIG",
  28: "ENOSPC",
  30: "EROFS",
  32: "EPIPE",
  34: "ERANGE",
  36: "ENAMETOOLONG",
  38: "ENOSYS",
  40: "ELOOP",
  71: "EPROTO",
  75: "EOVERFLOW",
  88: "ENOTSOCK",
  90: "EMSGSIZE",
  91: "EPROTOTYPE",
  92: "ENOPROTOOPT",
  93: "EPROTONOSUPPORT",
  94: "ESOCKTNOSUPPORT",
  95: "EOPNOTSUPP",
  97: "EAFNOSUPPORT",
  98: "EADDRINUSE",
  99: "EADDRNOTAVAIL",
  100: "ENETDOWN",
  103: "ECONNABORTED",
  104: "ECONNRESET",
  105: "ENOBUFS",
  106: "EISCONN",
  107: "ENOTCONN",
  109: "ETOOMANYREFS",
  110: "ETIMEDOUT",
  111: "ECONNREFUSED",
};

/** A system call that failed. */
export class SystemError extends Error {
  /** The class's name. */
  override readonly name = "SystemError";
  /** errno's name, such as `EADDRINUSE`. */
  readonly code: string;

  /**
   * Describes the failure in libc's words.
   * @param syscall name of the call, such as `bind`
   * @param errno its errno value
   */
  constructor(readonly syscall: string, readonly errno: number) {
    const code = NAMES[errno] ?? `errno ${errno}`;
    super(`${syscall}: ${describe(errno)} (${code})`);
    this.code = code;
  }
}

let location: Int32Array | undefined;

/**
 * errno of the main thread, right after a synchronous call there.
 * @returns the value, not reset by reading
 */
export function errno(): number {
  location ??= locate();
  return location[0] ?? 0;
}

function locate(): Int32Array {
  const pointer = libc().__errno_location();
  if (pointer === null) throw new Error("libc gave no errno location");
  return new Int32Array(Deno.UnsafePointerView.getArrayBuffer(pointer, 4));
}

/** libc's sentence for an errno value; for EMFILE one that has the limit, and says how to raise it. */
function describe(value: number): string {
  if (value === EMFILE) {
    const limits = new BigUint64Array(2);
    libc().getrlimit(RLIMIT_NOFILE, limits);
    return `the limit of ${
      limits[0]
    } open files is reached; raise it with ulimit -n or LimitNOFILE=`;
  }
  const pointer = libc().strerror(value);
  return pointer === null ? "unknown error" : Deno.UnsafePointerView.getCString(pointer);
}

/**
 * Makes a system call, again while a signal interrupts it.
 * @param syscall its name, for the error
 * @param call returns -1 on failure with errno set
 * @returns what the call returned
 * @throws {SystemError} on failure
 */
export function check(syscall: string, call: () => number | bigint): number {
  const result = uninterrupted(call);
  if (result < 0) throw new SystemError(syscall, -result);
  return result;
}

/**
 * Like {@link check} for a call on a non-blocking descriptor.
 * @returns what the call returned, or undefined when it would block
 */
export function checkNonBlocking(
  syscall: string,
  call: () => number | bigint,
): number | undefined {
  const result = uninterrupted(call);
  if (result === -EAGAIN) return undefined;
  if (result < 0) throw new SystemError(syscall, -result);
  return result;
}

/** Calls again while a signal interrupts it. @returns what the call returned, or -errno when it failed */
function uninterrupted(call: () => number | bigint): number {
  const place = location ??= locate();
  for (;;) {
    const returned = call();
    // Read at once: even to call a function gives the engine a chance to do work that it has put off, with
    // system calls of its own.
    const value = place[0] ?? 0;
    const result = Number(returned);
    if (result !== -1) return result;
    if (value !== EINTR) return -value;
  }
}

/** Turns the return value of a pthread or posix_spawn function, which is an errno itself, into an error. */
export function checkReturned(syscall: string, returned: number): void {
  if (returned !== 0) throw new SystemError(syscall, returned);
}

const EINTR = 4;
const EAGAIN = 11;
const EMFILE = 24;
