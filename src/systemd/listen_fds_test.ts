import { assertEquals, assertStrictEquals } from "@std/assert";
import { openFile } from "../../tests/support/descriptors.ts";
import { createMemfd, readText } from "../../ffi/memfd.ts";
import { check } from "../../ffi/errno.ts";
import { libc } from "../../ffi/libc.ts";
import { spawn } from "../../ffi/spawn.ts";

const FIXTURE = new URL("../../tests/support/listen_fds.ts", import.meta.url).pathname;

/** Runs the fixture with two files from descriptor 3 on. @param script sets variables and execs "$@" */
function pass(script: string) {
  using output = createMemfd("output");
  using one = createMemfd("one");
  using two = createMemfd("two");
  const program = [Deno.execPath(), "run", "--quiet", "--no-check", "--allow-all", FIXTURE];
  const { PATH = "", HOME = "" } = Deno.env.toObject();
  const pid = spawn({
    argv: ["sh", "-c", script, "sh", ...program],
    env: { PATH, HOME, NO_COLOR: "1" },
    fds: [one, two],
    stdout: output,
  });
  const status = new Int32Array(1);
  assertStrictEquals(check("waitpid", () => libc().waitpid(pid, status, 0)), pid);
  assertStrictEquals(status[0], 0);
  return { files: [one, two].map(openFile), ...JSON.parse(readText(output, 4096)) };
}

Deno.test("descriptors for this process are taken with their names, once", () => {
  const { files, taken, left, again } = pass(
    'LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=first: exec "$@"',
  );
  assertEquals(taken, [
    { name: "first", closeOnExec: true, file: files[0] },
    { name: "unknown", closeOnExec: true, file: files[1] },
  ]);
  assertEquals([left, again], [[], 0]);
});

Deno.test("descriptors for another process, none, or a count that is none: nothing is taken", () => {
  const scripts = [
    'LISTEN_PID=1 LISTEN_FDS=2 LISTEN_FDNAMES=a:b exec "$@"',
    'LISTEN_FDS=2 exec "$@"',
    'LISTEN_PID=$$ exec "$@"',
    'LISTEN_PID=$$ LISTEN_FDS=-1 exec "$@"',
    'LISTEN_PID=$$ LISTEN_FDS=two exec "$@"',
  ];
  for (const script of scripts) {
    const { taken, left, again } = pass(script);
    assertEquals([taken, left, again], [[], [], 0], script);
  }
});
