/** This process and its children. */

import { check, SystemError } from "./errno.ts";
import { SIG_BLOCK, SIG_SETMASK, type SignalName, SIGNALS, WNOHANG } from "./constants.ts";
import { LAYOUT } from "./layout.ts";
import { libc } from "./libc.ts";
import { cString, StringArray } from "./memory.ts";

/** How a child ended: an exit code, or the number of the signal that killed it. */
export type ExitStatus = { code: number } | { signal: number };

/**
 * Reaps one child that has ended, whichever it is. In PID 1 that may be an orphan that it never started.
 * @returns undefined when none has ended, or there is none
 */
export function reap(): { pid: number; status: ExitStatus } | undefined {
  const status = new Int32Array(1);
  let pid: number;
  try {
    pid = check("waitpid", () => libc().waitpid(-1, status, WNOHANG));
  } catch (error) {
    if (error instanceof SystemError && error.code === "ECHILD") return undefined;
    throw error;
  }
  if (pid === 0) return undefined;
  // The encoding of wait(2): the low seven bits are the signal, the next byte the exit code.
  const word = status[0] ?? 0;
  const signal = word & 0x7f;
  return { pid, status: signal === 0 ? { code: (word >> 8) & 0xff } : { signal } };
}

/**
 * kill(2).
 * @param pid a positive pid; groups are not for us to signal
 * @returns false when there is no such process any more
 * @throws {RangeError} for 0 and less
 * @throws {TypeError} for what is not a C int
 * @throws {SystemError} EPERM
 */
export function sendSignal(pid: number, signal: SignalName): boolean {
  if (pid <= 0) throw new RangeError(`no process has pid ${pid}`);
  try {
    check("kill", () => libc().kill(pid, SIGNALS[signal]));
    return true;
  } catch (error) {
    if (error instanceof SystemError && error.code === "ESRCH") return false;
    throw error;
  }
}

/**
 * Becomes another program, keeping the pid and every descriptor that is not close-on-exec. The signals in
 * `blocked` are blocked across the call: one that arrives before the new program listens for it waits, and does
 * not kill it.
 * @throws {SystemError} when the call fails; the signal mask is then as before, and this program goes on
 */
export function execute(
  path: string,
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
  blocked: readonly SignalName[],
): never {
  const set = new Uint8Array(LAYOUT.sigset_t.size);
  for (const name of blocked) {
    const bit = SIGNALS[name] - 1;
    set[bit >> 3] = (set[bit >> 3] ?? 0) | (1 << (bit & 7));
  }
  const before = new Uint8Array(LAYOUT.sigset_t.size);
  const program = cString(path);
  const words = new StringArray(argv);
  const variables = new StringArray(Object.entries(env).map(([key, value]) => `${key}=${value}`));
  libc().pthread_sigmask(SIG_BLOCK, set, before);
  try {
    check("execve", () => libc().execve(program, words.pointers, variables.pointers));
    throw new Error("execve returned without an error");
  } finally {
    libc().pthread_sigmask(SIG_SETMASK, before, new Uint8Array(LAYOUT.sigset_t.size));
  }
}

/**
 * Becomes another program for good, with this one's pid, limits, and descriptors that are not close-on-exec. The
 * other program gets the default action for SIGPIPE: the runtime ignores that signal, which execve would keep.
 * @param argv its name, looked for in PATH when it has no slash, and its arguments
 * @throws {SystemError} ENOENT, EACCES and the like, when the call fails
 */
export function become(
  argv: readonly [string, ...string[]],
  env: Readonly<Record<string, string>>,
): never {
  const words = new StringArray(argv);
  const variables = new StringArray(Object.entries(env).map(([key, value]) => `${key}=${value}`));
  const file = cString(argv[0]);
  // SIG_DFL is a null pointer.
  libc().signal(SIGNALS.SIGPIPE, null);
  check(argv[0], () => libc().execvpe(file, words.pointers, variables.pointers));
  throw new Error("execvpe returned without an error");
}

/** Unblocks every signal in this thread: what {@link execute} blocked arrives now. */
export function unblockSignals(): void {
  const size = LAYOUT.sigset_t.size;
  libc().pthread_sigmask(SIG_SETMASK, new Uint8Array(size), new Uint8Array(size));
}

/**
 * Runs `action` under a file mode creation mask, so that what it creates is never more open.
 * @param mask permission bits to withhold, as in umask(2)
 */
export function withUmask<T>(mask: number, action: () => T): T {
  const before = libc().umask(mask);
  try {
    return action();
  } finally {
    libc().umask(before);
  }
}

/**
 * Gives up root for good: becomes a user with that user's groups, in every thread (glibc tells them all,
 * nptl(7)), without any capability.
 * @throws {SystemError} EPERM when this process is not root; it may have lost its groups then
 */
export function becomeUser(user: { name: string; uid: number; gid: number }): void {
  const name = cString(user.name);
  // In this order: the right to do the first two is lost with the last.
  check("initgroups", () => libc().initgroups(name, user.gid));
  check("setgid", () => libc().setgid(user.gid));
  check("setuid", () => libc().setuid(user.uid));
}

/** The effective user id. */
export function effectiveUid(): number {
  return libc().geteuid();
}
