import assert from "node:assert/strict";
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
  assert.deepEqual(fdLimit(), { soft: INITIAL, hard });
  assert.equal(initialFdLimit(), INITIAL);
  raiseFdLimit();
  raiseFdLimit();
  assert.deepEqual(fdLimit(), { soft: hard, hard });
  assert.equal(initialFdLimit(), INITIAL);

  const within = (needed: number) => {
    let soft = 0n;
    withSoftFdLimit(needed, () => soft = fdLimit().soft);
    assert.deepEqual(fdLimit(), { soft: hard, hard });
    return soft;
  };
  assert.equal(within(3), INITIAL);
  assert.equal(within(Number(INITIAL) + 1), INITIAL + 1n);
  assert.equal(within(Number(hard) + 1), hard);

  assert.throws(() =>
    withSoftFdLimit(3, () => {
      throw new Error("expected");
    }), /expected/);
  assert.deepEqual(fdLimit(), { soft: hard, hard });
});
