import { assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { openFile } from "../../tests/support/descriptors.ts";
import { createMemfd, readText } from "../../ffi/memfd.ts";
import { check } from "../../ffi/errno.ts";
import { libc } from "../../ffi/libc.ts";
import { AF_INET, SOCK_DGRAM, SOCK_STREAM } from "../../ffi/constants.ts";
import { createSocket } from "../../ffi/socket.ts";
import { spawn } from "../../ffi/spawn.ts";

const FIXTURE = new URL("../../tests/support/listen_fds.ts", import.meta.url).pathname;

/** Runs the fixture with two sockets from descriptor 3 on. @param script sets variables and execs "$@" */
function pass(script: string) {
  using output = createMemfd("output");
  using one = createSocket(AF_INET, SOCK_STREAM);
  using two = createSocket(AF_INET, SOCK_DGRAM);
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

Deno.test("descriptors for another process, or none: nothing is taken", () => {
  const scripts = [
    'LISTEN_PID=1 LISTEN_FDS=2 LISTEN_FDNAMES=a:b exec "$@"',
    'LISTEN_FDS=2 exec "$@"',
    'LISTEN_PID=$$ LISTEN_FDS=0 exec "$@"',
    'LISTEN_PID=garbage LISTEN_FDS=2 exec "$@"',
  ];
  for (const script of scripts) {
    const { taken, left, again } = pass(script);
    assertEquals([taken, left, again], [[], [], 0], script);
  }
});

Deno.test("what was not passed is not believed, and none is closed", () => {
  const scripts: [script: string, why: RegExp][] = [
    ['LISTEN_PID=$$ exec "$@"', /LISTEN_FDS="" .* no number of descriptors/],
    ['LISTEN_PID=$$ LISTEN_FDS=-1 exec "$@"', /LISTEN_FDS="-1" .* no number of descriptors/],
    ['LISTEN_PID=$$ LISTEN_FDS=two exec "$@"', /LISTEN_FDS="two" .* no number of descriptors/],
    ['LISTEN_PID=$$ LISTEN_FDS=2 exec "$@" 3>&-', /descriptor 3 (is not open|was not passed on)/],
    ['LISTEN_PID=$$ LISTEN_FDS=3 exec "$@"', /descriptor 5 (is not open|was not passed on)/],
    ['LISTEN_PID=$$ LISTEN_FDS=999999 exec "$@"', /descriptor \d+ (is not open|was not passed on)/],
    ['LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3</dev/null', /descriptor 3 is no socket/],
  ];
  for (const [script, why] of scripts) {
    const { taken, left, again, closed } = pass(script);
    assertMatch(taken, /^UserError: the environment has LISTEN_FDS=/, script);
    assertMatch(taken, why, script);
    assertEquals([left, again, closed], [[], 0, 0], script);
  }
});
