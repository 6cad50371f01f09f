/** The monotonic clock (clock_gettime(2)). */

import { check } from "./errno.ts";
import { CLOCK_MONOTONIC } from "./constants.ts";
import { LAYOUT } from "./layout.ts";
import { libc } from "./libc.ts";
import { Struct } from "./memory.ts";

/** CLOCK_MONOTONIC, which all processes share, in microseconds. */
export function monotonicMicroseconds(): bigint {
  const { size, tv_sec, tv_nsec } = LAYOUT.timespec;
  const time = new Struct(size);
  check("clock_gettime", () => libc().clock_gettime(CLOCK_MONOTONIC, time.bytes));
  return time.u64(tv_sec) * 1_000_000n + time.u64(tv_nsec) / 1000n;
}
