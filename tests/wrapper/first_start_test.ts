/** The first start of a server that ends before it serves: when it is tried once more, and how it is stopped then. */

import { assertMatch, assertStrictEquals } from "@std/assert";
import { startBinder } from "../support/binder.ts";
import { countingServer } from "../support/counting_server.ts";
import { exists } from "../support/files.ts";
import { Wrapper } from "../support/haproxy.ts";
import { until } from "../support/process_status.ts";
import { loopbackHost, tempDir } from "../support/temp_dir.ts";

Deno.test("what ends well, by a signal or after it was up is not started once more", async () => {
  await using binder = await startBinder();
  const cases: [what: string, starts: number, why: RegExp][] = [
    [
      "(echo first; echo last) >&2; exit 3",
      2,
      /code 3 before it served; it said: first \| last"?$/m,
    ],
    ["exit 0", 1, /code 0 before it served, though it must stay in the foreground: see/],
    ["kill -9 $$", 1, /ended by signal 9 before it served: see/],
  ];
  for (const [what, starts, why] of cases) {
    using folder = tempDir();
    const server = countingServer(folder, what);
    await using wrapper = new Wrapper("", {
      sock: binder.sock,
      args: ["--listen", `http=${loopbackHost()}:80`, "--settle", "10s"],
      command: [server.path],
    });
    await wrapper.program.exited;
    assertMatch(wrapper.program.stderr, why);
    assertStrictEquals(server.starts(), starts, what);
  }
});

Deno.test("a server that comes up when it is started once more is stopped softly", async () => {
  using folder = tempDir();
  await using binder = await startBinder();
  const server = countingServer(
    folder,
    `[ $(wc -l <${folder.file("starts")}) = 1 ] && exit 5\ntrap "echo soft >>${
      folder.file("stopped")
    }; exit 0" TERM\neval "echo up >&$FD_READY"\nsleep 1000 & wait`,
  );
  await using wrapper = new Wrapper("", {
    sock: binder.sock,
    args: ["--listen", `http=${loopbackHost()}:80`, "--ready-fd"],
    command: [server.path],
  });
  await wrapper.program.exited;
  assertMatch(wrapper.program.stderr, /exited with code 5 before it served: see its lines/);
  await until(() => exists(folder.file("stopped")));
  assertStrictEquals(server.starts(), 2);
});
