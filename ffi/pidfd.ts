/**
 * Processes that are not our children, by a descriptor (pidfd_open(2)): it goes on meaning that one
 * process when its pid belongs to another. glibc has functions for these calls since 2.36 only.
 * @module
 */

import {
  type SignalName,
  SIGNALS,
  SYS_PIDFD_GETFD,
  SYS_PIDFD_OPEN,
  SYS_PIDFD_SEND_SIGNAL,
} from "./constants.ts";
import { check, SystemError } from "./errno.ts";
import { Fd } from "./fd.ts";
import { libc } from "./libc.ts";

/**
 * Opens a process. The descriptor is readable once the process has ended.
 * @returns undefined when there is no such process
 */
export function openProcess(pid: number): Fd | undefined {
  try {
    return new Fd(
      check("pidfd_open", () => libc().syscall(BigInt(SYS_PIDFD_OPEN), pid, 0, 0n, 0)),
    );
  } catch (error) {
    if (error instanceof SystemError && error.code === "ESRCH") return undefined;
    throw error;
  }
}

/** Signals a process. @returns false when it has ended */
export function signalProcess(process: Fd, signal: SignalName): boolean {
  try {
    check("pidfd_send_signal", () =>
      libc().syscall(
        BigInt(SYS_PIDFD_SEND_SIGNAL),
        process.number,
        SIGNALS[signal],
        0n,
        0,
      ));
    return true;
  } catch (error) {
    if (error instanceof SystemError && error.code === "ESRCH") return false;
    throw error;
  }
}

/**
 * A copy of a descriptor of another process, close-on-exec.
 * @param number the descriptor's number there
 * @throws {SystemError} EPERM without the right to trace that process (ptrace(2))
 */
export function copyDescriptor(process: Fd, number: number): Fd {
  return new Fd(
    check(
      "pidfd_getfd",
      () => libc().syscall(BigInt(SYS_PIDFD_GETFD), process.number, number, 0n, 0),
    ),
  );
}
