import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import "../tests/support/libc.ts";
import { check } from "./errno.ts";
import { RLIMIT_NOFILE } from "./constants.ts";
import { libc } from "./libc.ts";
import { fdLimit, initialFdLimit, raiseFdLimit, withSoftFdLimit } from "./rlimit.ts";

const INITIAL = 500n;

/** Deno itself raises the soft limit at its start, and a compiled program does not: the test lowers it. */
function lowerSoftLimit(): bigint {
  const { hard } = fdLimit();
  const limit = new BigUint64Array([INITIAL, hard]);
  check("setrlimit", () => libc().setrlimit(RLIMIT_NOFILE, new Uint8Array(limit.buffer)));
  return hard;
}

Deno.test("the soft limit is raised for this process alone", () => {
  const hard = lowerSoftLimit();
  assertEquals(fdLimit(), { soft: INITIAL, hard });
  assertStrictEquals(initialFdLimit(), INITIAL);
  raiseFdLimit();
  raiseFdLimit();
  assertEquals(fdLimit(), { soft: hard, hard });
  assertStrictEquals(initialFdLimit(), INITIAL);

  const within = (needed: number) => {
    let soft = 0n;
    withSoftFdLimit(needed, () => soft = fdLimit().soft);
    assertEquals(fdLimit(), { soft: hard, hard });
    return soft;
  };
  assertStrictEquals(within(3), INITIAL);
  assertStrictEquals(within(Number(INITIAL) + 1), INITIAL + 1n);
  assertStrictEquals(within(Number(hard) + 1), hard);

  assertThrows(
    () =>
      withSoftFdLimit(3, () => {
        throw new Error("expected");
      }),
    Error,
    /expected/,
  );
  assertEquals(fdLimit(), { soft: hard, hard });
});
