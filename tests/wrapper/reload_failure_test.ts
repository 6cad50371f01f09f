/** Reloads that go wrong: something serves all the time, and what happened is told and remembered. */

import { assert, assertEquals, assertMatch, assertNotMatch, assertStrictEquals } from "@std/assert";
import { multibinder, startBinder } from "../support/binder.ts";
import { site, startWrapper, tag, Wrapper } from "../support/haproxy.ts";
import { bodyOf, get, HttpConnection, Load } from "../support/http_client.ts";
import { childrenOf, commandOf, hasEnded, suspend, until } from "../support/process_status.ts";
import { ProgramFile } from "../support/program_file.ts";
import { SlowBackend } from "../support/slow_backend.ts";
import { ask, wrapperStatus } from "../support/status.ts";
import { freePort, loopbackHost, openFolder, type TempDir, tempDir } from "../support/temp_dir.ts";
import { ignoreUnless, UNPRIVILEGED } from "../support/users.ts";

/** Reloads, which must fail: the reason is told, logged, and in the status. */
async function failToReload(wrapper: Wrapper, why: RegExp): Promise<void> {
  const serving = await wrapper.serving();
  const { code, stderr } = await ask("reload", wrapper.control);
  assertStrictEquals(code, 1);
  assertMatch(stderr, /^multibinder: reload failed: /);
  assertMatch(stderr, why);
  const logged = wrapper.program.stderr.split("\n")
    .filter((line) => line.includes(" error reload failed, the old generation goes on serving "));
  assertMatch(logged.at(-1) ?? "", why);
  await isFailed(wrapper, why);
  assertEquals(await wrapper.serving(), serving);
}

/** The status still tells of the reload that failed. */
async function isFailed({ control }: Wrapper, why: RegExp): Promise<void> {
  const { lastReload } = await wrapperStatus(control);
  assertStrictEquals(lastReload?.ok, false);
  assertMatch(lastReload?.message ?? "", why);
}

/** Reloads, which must succeed, and ends the status of failure. */
async function reload(wrapper: Wrapper): Promise<void> {
  const { code, stdout } = await ask("reload", wrapper.control);
  const message = `generation ${(await wrapper.serving()).generation} serves`;
  assertEquals([code, stdout], [0, `${message}\n`]);
  const { lastReload } = await wrapperStatus(wrapper.control);
  assertEquals([lastReload?.ok, lastReload?.message], [true, message]);
}

Deno.test("a config that is of no use: what was served goes on, and the reason is told", async () => {
  const target = { hostname: loopbackHost(), port: freePort() };
  await using binder = await startBinder();
  await using wrapper = await startWrapper(site(tag(target), "first"), {
    sock: binder.sock,
  });
  using stranger = Deno.listen({ hostname: target.hostname, port: freePort() });
  const replacements: [() => void, RegExp][] = [
    [
      () => wrapper.template = site(tag(target), "x", { frontend: ["nonsense"] }),
      /HAProxy refused the config: .*site\.cfg:\d+\] : unknown keyword 'nonsense'/,
    ],
    [
      () => wrapper.template = site(tag(target), "x", { frontend: ["errorfile 503 /missing"] }),
      /HAProxy refused the config: .*\/missing/,
    ],
    [
      () => wrapper.template = "",
      /HAProxy refused the config: Configuration file has no error but will not start/,
    ],
    [
      () => wrapper.template = site("<%= bind_tcp('', 80", "x"),
      /site\.cfg\.eta:8: no %> closes this tag/,
    ],
    [
      () => wrapper.template = site("<%= nobody.knows %>", "x"),
      /site\.cfg\.eta:8: .*nobody/,
    ],
    [
      () => wrapper.template = site([tag(target), tag(stranger.addr)], "x"),
      new RegExp(`:${stranger.addr.port}: the address is in use .*\\(EADDRINUSE\\)`),
    ],
    [() => Deno.removeSync(wrapper.path), /cannot read the template \S+site\.cfg\.eta/],
  ];
  await using load = new Load(target, { workers: 2 });
  for (const [index, [replace, why]] of replacements.entries()) {
    replace();
    await failToReload(wrapper, why);
    await get(target);
    await isFailed(wrapper, why);
    // A good reload comes after every second failure, so that failures also follow each other.
    if (index % 2 === 0) continue;
    wrapper.template = site(tag(target), `good-${index}`);
    await reload(wrapper);
    await until(async () => await get(target) === `good-${index}`);
  }
  assertEquals((await load.stop()).failures, []);
  const { stderr } = wrapper.program;
  // HAProxy's first error is the reason, and is told once; its other lines stand in the log before that.
  assertStrictEquals(stderr.split("\n").filter((line) => line.includes("'nonsense'")).length, 1);
  assertMatch(stderr, / error haproxy: \[ALERT\] .*Fatal errors/);
  assertMatch(stderr, / info haproxy: \[NOTICE\] /);
  assertNotMatch(stderr, / error haproxy: \[NOTICE\] /);
  const { generations } = await wrapperStatus(wrapper.control);
  assertEquals(generations.map(({ pid }) => pid), [(await wrapper.serving()).pid]);
});

Deno.test({
  name: "a template that the wrapper's user may not read",
  ignore: ignoreUnless(UNPRIVILEGED.length > 0, "to withhold a file from another user needs root"),
  async fn() {
    using folder = openFolder();
    const target = { hostname: loopbackHost(), port: freePort() };
    await using binder = await startBinder([], {
      args: ["--mode", "0666", "--allow-uid", "65534"],
    });
    await using wrapper = await startWrapper(site(tag(target), "first"), {
      sock: binder.sock,
      through: UNPRIVILEGED,
      args: ["--control", folder.file("control"), "--render-dir", folder.path],
    });
    await using load = new Load(target, { workers: 1 });
    Deno.chmodSync(wrapper.path, 0o600);
    await failToReload(wrapper, /cannot read the template \S+: Permission denied/);
    Deno.chmodSync(wrapper.path, 0o644);
    await reload(wrapper);
    assertEquals((await load.stop()).failures, []);
  },
});

/** A HAProxy that misbehaves once it is told how, by a file `how` that a generation takes away. */
function misbehaving(folder: TempDir): { path: string; next(how: "dies" | "hangs"): void } {
  const path = folder.file("haproxy");
  const how = folder.file("how");
  Deno.writeTextFileSync(
    path,
    [
      "#!/bin/sh",
      'for word; do [ "$word" != -c ] || exec haproxy "$@"; latch=$word; done',
      `how=$(cat "${how}" 2>/dev/null); rm -f "${how}"`,
      "case $how in",
      // It says that it is up, as HAProxy does with -sf, and dies.
      '  dies) kill -USR1 "$latch"; exit 7 ;;',
      "  hangs) exec sleep 1000 ;;",
      "esac",
      'exec haproxy "$@"',
    ].join("\n") + "\n",
    { mode: 0o755 },
  );
  return { path, next: (mode) => Deno.writeTextFileSync(how, mode) };
}

Deno.test("a server that dies within the first second, and one that never gets ready", async () => {
  using folder = tempDir();
  const target = { hostname: loopbackHost(), port: 80 };
  const config = folder.file("site.cfg.eta");
  Deno.writeTextFileSync(config, site(tag(target), "ok"));
  const server = misbehaving(folder);
  await using binder = await startBinder();
  await using wrapper = await startWrapper("", {
    sock: binder.sock,
    args: ["--settle", "1s", "--ready-timeout", "2s"],
    command: [server.path, "-f", config],
  });
  await using load = new Load(target, { workers: 2 });
  server.next("dies");
  await failToReload(
    wrapper,
    /exited with code 7 before it served: see its lines in the wrapper's log/,
  );
  server.next("hangs");
  await failToReload(wrapper, /not ready within 2s/);
  // It is not left behind.
  await wrapper.drained(3);
  assertEquals(servers(wrapper), [(await wrapper.serving()).pid]);
  await reload(wrapper);
  assertEquals((await load.stop()).failures, []);
});

Deno.test("a server that passes its check and fails to come up: its own words are the reason", async () => {
  const target = { hostname: loopbackHost(), port: 80 };
  await using binder = await startBinder();
  await using wrapper = await startWrapper(site(tag(target), "ok"), { sock: binder.sock });
  using stranger = Deno.listen({ hostname: target.hostname, port: 0 });
  wrapper.template = site([tag(target), `${target.hostname}:${stranger.addr.port}`], "x");
  await using load = new Load(target, { workers: 2 });
  const words = /before it served; it said: .*cannot bind socket.*\| .*Exiting/;
  await failToReload(wrapper, words);
  assertMatch((await ask("status", wrapper.control)).stdout, words);
  assertEquals(servers(wrapper), [(await wrapper.serving()).pid], "nothing is left of it");
  assertEquals((await load.stop()).failures, []);
  // A first start fails in the same way, and ends the wrapper.
  await using first = new Wrapper(site(stranger.addr.hostname + `:${stranger.addr.port}`, "x"), {
    sock: binder.sock,
  });
  assertStrictEquals((await first.program.exited).code, 1);
  assertMatch(first.program.stderr, / error cannot start why="exited .*it said: .*cannot bind/);
});

Deno.test("a reload while the program's own file is another or gone fails at once", async () => {
  using file = new ProgramFile();
  const target = { hostname: loopbackHost(), port: 80 };
  await using binder = await startBinder();
  await using wrapper = await startWrapper(site(tag(target), "ok"), {
    sock: binder.sock,
    program: file.path,
  });
  await using load = new Load(target, { workers: 1 });
  file.replace("/bin/true");
  await failToReload(
    wrapper,
    /multibinder ended with exit code 0 when it was to wait for/,
  );
  await until(() => servers(wrapper).length === 1);
  file.remove();
  await failToReload(wrapper, /command not found: \S+multibinder/);
  file.replace(multibinder());
  await reload(wrapper);
  assertEquals((await load.stop()).failures, []);
});

Deno.test("what a generation has accepted that is given up is answered", async () => {
  using folder = tempDir();
  using file = new ProgramFile();
  using backend = new SlowBackend();
  const target = { hostname: loopbackHost(), port: 80 };
  await using binder = await startBinder();
  await using wrapper = await startWrapper(site(tag(target), "ok", backend.options), {
    sock: binder.sock,
    program: file.path,
  });
  const serving = (await wrapper.serving()).pid;
  // What is to hear that the next generation is up ignores it, and ends when the test lets it.
  const lost = folder.file("lost");
  file.replaceByScript(`trap '' USR1\nuntil [ -e ${lost} ]; do sleep 0.05; done`);
  const failed = failToReload(wrapper, /multibinder ended with exit code 0/);
  await suspend(serving);
  using client = await HttpConnection.open(target);
  await client.send("/slow", ["Connection: close"]);
  using request = await backend.request();
  Deno.kill(serving, "SIGCONT");
  Deno.writeTextFileSync(lost, "");
  await failed;
  await request.answer("late");
  assertStrictEquals(bodyOf(await client.receive()), "late");
  await until(() => servers(wrapper).length === 1);
  assertStrictEquals(await get(target), "ok");
});

/** The servers that a wrapper runs. */
function servers({ program }: Wrapper): number[] {
  return childrenOf(program.pid).filter((pid) => commandOf(pid) !== "multibinder");
}

Deno.test("a server that does not obey its stop signal is killed after the drain cap", async () => {
  const target = { hostname: loopbackHost(), port: 80 };
  await using binder = await startBinder();
  await using wrapper = await startWrapper(site(tag(target), "ok"), {
    sock: binder.sock,
    args: ["--drain", "200ms"],
  });
  const deaf = (await wrapper.serving()).pid;
  await suspend(deaf);
  assertStrictEquals((await wrapper.reload()).ok, true);
  const { generations } = await wrapper.waitFor(() => true);
  assertEquals(generations.map(({ state }) => state), ["draining", "serving"]);
  await using load = new Load(target, { workers: 1 });
  // A process that is suspended obeys nothing but SIGKILL.
  await wrapper.drained();
  assert(hasEnded(deaf));
  assertEquals(servers(wrapper), [(await wrapper.serving()).pid]);
  assertEquals((await load.stop()).failures, []);
});

Deno.test("a storm of 500 signals, half of them with a bad config, ends with the last one", async () => {
  const target = { hostname: loopbackHost(), port: 80 };
  await using binder = await startBinder();
  await using wrapper = await startWrapper(site(tag(target), "first"), {
    sock: binder.sock,
  });
  await using load = new Load(target, { workers: 1 });
  for (let count = 1; count <= 500; count++) {
    const frontend = count % 2 === 0 ? [] : ["nonsense"];
    wrapper.template = site(tag(target), count === 500 ? "last" : "between", { frontend });
    wrapper.program.signal("SIGUSR2");
    await get(target);
  }
  await until(async () => await get(target) === "last");
  // The last signal may have come after the last config was read: what it asks for is over when this is.
  assertStrictEquals((await ask("reload", wrapper.control)).code, 0);
  await wrapper.drained();
  const { generations, lastReload } = await wrapper.waitFor(() => true);
  assertStrictEquals(lastReload?.ok, true);
  assertEquals(servers(wrapper), generations.map(({ pid }) => pid));
  assertStrictEquals(await get(target), "last");
  assertEquals((await load.stop()).failures, []);
});
