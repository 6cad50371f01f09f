/** `--prefix-output`: the server's own lines say which generation has written them, and are known when it fails. */

import { assert, assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { startBinder } from "../support/binder.ts";
import { countingServer } from "../support/counting_server.ts";
import { site, startWrapper, tag, Wrapper } from "../support/haproxy.ts";
import { get, newTarget } from "../support/http_client.ts";
import { until } from "../support/process_status.ts";
import { ask } from "../support/status.ts";
import { loopbackHost, tempDir } from "../support/temp_dir.ts";

const NAMED = ["--prefix-output"];
const LOG = ["log stderr format raw daemon", "option httplog"];

/** The lines of a log that tell of a request for that path, from the generation on. */
function linesOf({ program }: Wrapper, path: string): string[] {
  return program.stderr.split("\n").filter((line) => line.includes(`GET ${path} `))
    .map((line) => /haproxy generation \d+: /.exec(line)?.[0] ?? line);
}

Deno.test("each line of HAProxy has its generation, over reloads and an upgrade; else it is untouched", async () => {
  const target = newTarget();
  await using binder = await startBinder();
  const config = site(tag(target), "ok", { frontend: LOG });
  await using wrapper = await startWrapper(config, { sock: binder.sock, args: NAMED });
  const served = async (path: string) => {
    await get(target, path);
    await until(() => linesOf(wrapper, path).length > 0);
    return linesOf(wrapper, path);
  };
  assertEquals(await served("/first"), ["haproxy generation 1: "]);
  assertStrictEquals((await wrapper.reload()).ok, true);
  assertEquals(await served("/second"), ["haproxy generation 2: "]);
  assertStrictEquals((await ask("upgrade", wrapper.control)).code, 0);
  assertEquals(await served("/third"), ["haproxy generation 2: "]);
  assertMatch(wrapper.program.stderr, /^\S+Z info haproxy generation 1: .*"GET \/first /m);

  const json = [...NAMED, "--log-format", "json"];
  await using machines = await startWrapper(config, { sock: binder.sock, args: json });
  await wrapper[Symbol.asyncDispose]();
  await get(target, "/json");
  await until(() => machines.program.stderr.includes("GET /json "));
  const line = machines.program.stderr.split("\n").find((one) => one.includes("GET /json ")) ?? "";
  const { level, server, generation, message } = JSON.parse(line);
  assertEquals([level, server, generation], ["info", "haproxy", 1]);
  assertMatch(message, /"GET \/json /);

  await using plain = await startWrapper(config, { sock: binder.sock });
  await machines[Symbol.asyncDispose]();
  await get(target, "/plain");
  await until(() => linesOf(plain, "/plain").length > 0);
  assertMatch(plain.program.stderr, /^\d+\.\d+\.\d+\.\d+:\d+ .*"GET \/plain /m);
});

Deno.test("what a server said that fails, or is not up in time, is the reason, and it is started once", async () => {
  await using binder = await startBinder();
  const cases: [what: string, why: RegExp][] = [
    [
      "(echo first; echo $SECRET_WORD) >&2; exit 3",
      /code 3 before it served; it said: first \| \$/,
    ],
    ["echo bye >&2; kill -9 $$", /ended by signal 9 before it served; it said: bye/],
    ["exit 4", /code 4 before it served; it said nothing/],
    ["echo waiting for the database >&2; exec sleep 1000", /not ready within .*; it said: waiting/],
  ];
  for (const [what, why] of cases) {
    using folder = tempDir();
    const server = countingServer(folder, what);
    await using wrapper = new Wrapper("<%= ENV['SECRET_WORD'] %>", {
      sock: binder.sock,
      args: [
        ...["--listen", `http=${loopbackHost()}:80`, "--ready-fd", "--ready-timeout", "1s"],
        ...NAMED,
      ],
      env: { SECRET_WORD: "hunter2-of-the-site" },
      command: [server.path, "site.cfg.eta"],
    });
    await wrapper.program.exited;
    const { stderr } = wrapper.program;
    assertMatch(stderr, why);
    assertStrictEquals(server.starts(), 1, what);
    assert(!stderr.includes("hunter2"), stderr);
  }
});
