import { assert } from "@std/assert";
import "../tests/support/libc.ts";
import { monotonicMicroseconds } from "./clock.ts";

Deno.test("the monotonic clock counts microseconds since about the boot, and never back", () => {
  const before = monotonicMicroseconds();
  const after = monotonicMicroseconds();
  assert(before <= after);
  assert(after - before < 1_000_000n);
  // The uptime counts the time in which the machine slept as well.
  const uptime = Number(Deno.readTextFileSync("/proc/uptime").split(" ")[0]);
  assert(Number(after) / 1e6 <= uptime + 1, `${after} us after ${uptime} s`);
});
