/** The limit on open descriptors (RLIMIT_NOFILE). */

import { check } from "./errno.ts";
import { F_DUPFD_CLOEXEC, RLIMIT_NOFILE } from "./constants.ts";
import { Fd } from "./fd.ts";
import { LAYOUT } from "./layout.ts";
import { libc } from "./libc.ts";
import { Struct } from "./memory.ts";

interface Limit {
  soft: bigint;
  hard: bigint;
}

/** The soft limit that this process was started with; undefined until it is raised. */
let initialSoft: bigint | undefined;

/** The limits on open descriptors now. */
export function fdLimit(): Limit {
  const struct = new Struct(LAYOUT.rlimit.size);
  check("getrlimit", () => libc().getrlimit(RLIMIT_NOFILE, struct.bytes));
  return { soft: struct.u64(LAYOUT.rlimit.rlim_cur), hard: struct.u64(LAYOUT.rlimit.rlim_max) };
}

/** Raises the soft limit to the hard one for this process; children still get the one that it was started with. */
export function raiseFdLimit(): void {
  const { soft, hard } = fdLimit();
  initialSoft ??= soft;
  if (soft < hard) setSoft(hard, hard);
}

/**
 * Makes room in the kernel's table of this process's descriptors, on another thread. The table grows by
 * doubling, and each time a process with threads waits for an RCU grace period (fs/file.c,
 * expand_fdtable), some 10 ms: to receive a thousand sockets took two or three of these.
 * @param count descriptors to make room for; less than the limit, or nothing happens
 */
export async function reserveFds(count: number): Promise<void> {
  const number = await libc().fcntl_wait(0, F_DUPFD_CLOEXEC, count - 1);
  if (number >= 0) new Fd(number).close();
}

/** Sets the soft limit that the first program of this process was started with, which this one has replaced. */
export function inheritFdLimit(soft: bigint): void {
  initialSoft = soft;
}

/** The soft limit that this process was started with. */
export function initialFdLimit(): bigint {
  return initialSoft ?? fdLimit().soft;
}

/**
 * Runs `action` under the soft limit that this process was started with, or `needed` if that is more.
 * It is for the synchronous start of a child, which inherits the limit.
 */
export function withSoftFdLimit(needed: number, action: () => void): void {
  const { soft, hard } = fdLimit();
  const wanted = initialFdLimit() > BigInt(needed) ? initialFdLimit() : BigInt(needed);
  if (wanted === soft) return action();
  setSoft(wanted < hard ? wanted : hard, hard);
  try {
    action();
  } finally {
    setSoft(soft, hard);
  }
}

function setSoft(soft: bigint, hard: bigint): void {
  const struct = new Struct(LAYOUT.rlimit.size);
  struct.setU64(LAYOUT.rlimit.rlim_cur, soft).setU64(LAYOUT.rlimit.rlim_max, hard);
  check("setrlimit", () => libc().setrlimit(RLIMIT_NOFILE, struct.bytes));
}
