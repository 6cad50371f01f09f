/** A wrapper is reached by its name, through its binder, without a control socket of its own on disk. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { multibinder, startBinder } from "../support/binder.ts";
import { site, startWrapper, tag } from "../support/haproxy.ts";
import { HttpConnection } from "../support/http_client.ts";
import { runProgram, startProgram } from "../support/program.ts";
import { SlowBackend } from "../support/slow_backend.ts";
import { servers } from "../support/status.ts";
import { loopbackHost, tempDir } from "../support/temp_dir.ts";
import { ignoreUnless, UNPRIVILEGED } from "../support/users.ts";

/** Starts a wrapper as users do, without --control. */
function startPlain(sock: string, config: string) {
  return startProgram([
    multibinder(),
    ...["exec", "--sock", sock, "--settle", "20ms", "--", "haproxy", "-f", config],
  ]);
}

Deno.test("status, reload, upgrade, healthcheck and stop find a wrapper by its name", async () => {
  using folder = tempDir();
  const hostname = loopbackHost();
  await using binder = await startBinder([`${hostname}:80`, `${hostname}:81`]);
  const config = folder.file("site.cfg.eta");
  const write = (text: string) => Deno.writeTextFileSync(config, text);
  write(site(tag({ hostname, port: 80 }), "ok"));
  const run = (...args: string[]) => {
    const [command = "", ...rest] = args;
    return runProgram([multibinder(), command, "--sock", binder.sock, ...rest]);
  };
  {
    const none = await run("stop");
    assertEquals(none.code, 1);
    assertMatch(none.stderr, /has no wrapper that is connected; it has: none/);
  }
  await using wrapper = startPlain(binder.sock, config);
  await binder.waitFor((status) => servers(status).length > 0);
  // There is nothing in the folder but the config and what it was rendered to.
  assertEquals([...Deno.readDirSync(folder.path)].map(({ name }) => name).sort(), [
    "site.cfg",
    "site.cfg.eta",
  ]);
  for (const name of ["site", "site.cfg.eta", config, String(wrapper.pid)]) {
    const status = await run("status", "--json", name);
    assertEquals([JSON.parse(status.stdout).pid, status.stderr], [wrapper.pid, ""]);
  }
  assertEquals((await run("healthcheck", "--strict", "site")).code, 0);
  assertEquals((await run("reload", "site")).stdout, "generation 2 serves\n");
  write("nonsense\n");
  const failed = await run("reload", "site");
  assertEquals(failed.code, 1);
  assertMatch(failed.stderr, /reload failed: HAProxy refused the config: .*nonsense/);
  assertMatch((await run("upgrade", "site")).stdout, /^upgraded from/);
  const wrong = await run("status", "other");
  assertEquals(wrong.code, 1);
  assertMatch(wrong.stderr, new RegExp(`no wrapper called other .*; it has: ${config} \\(pid`));
  assertEquals((await run("status", "site", "other")).code, 2);

  // Of two wrappers of the same name, one must be named by more than that.
  const second = folder.file("more/site.cfg.eta");
  Deno.mkdirSync(folder.file("more"));
  Deno.writeTextFileSync(second, site(tag({ hostname, port: 81 }), "ok"));
  await using other = startPlain(binder.sock, second);
  await binder.waitFor(({ wrappers }) => wrappers.filter(({ service }) => service).length === 2);
  assertMatch((await run("stop", "site")).stderr, /has 2 wrappers called site; name one of: /);
  assert(!other.ended && !wrapper.ended);
  const stopped = await run("stop", second);
  assertEquals([stopped.code, stopped.stdout], [0, "stopped\n"]);
  assertEquals((await other.exited).code, 0);
});

Deno.test("a server without a config is reached by its program's name, or its folder's", async () => {
  using folder = tempDir();
  const cwd = folder.file("app");
  Deno.mkdirSync(cwd);
  await using binder = await startBinder();
  const { sock } = binder;
  await using wrapper = startProgram([
    multibinder(),
    ...["exec", "--sock", sock, "--settle", "20ms"],
    ...["--listen", `http=${loopbackHost()}:80`, "--", "/bin/sleep", "1000"],
  ], { cwd });
  await binder.waitFor((status) => servers(status).length > 0);
  for (const name of ["sleep", "/bin/sleep", "app", cwd, String(wrapper.pid)]) {
    const status = await runProgram([multibinder(), "status", "--sock", sock, "--json", name]);
    assertEquals([JSON.parse(status.stdout).pid, status.stderr], [wrapper.pid, ""]);
  }
  const none = await runProgram([multibinder(), "status", "--sock", sock, "leep"]);
  assertMatch(none.stderr, /has no wrapper called leep /);
});

Deno.test("a stop that takes longer than it may goes on, and a second one ends it", async () => {
  const target = { hostname: loopbackHost(), port: 80 };
  await using binder = await startBinder();
  using backend = new SlowBackend();
  const template = site(tag(target), "ok", backend.options);
  await using wrapper = await startWrapper(template, { sock: binder.sock });
  const run = (...args: string[]) =>
    runProgram([multibinder(), ...args, "--sock", wrapper.control]);
  const healthy = () => run("healthcheck", "--strict");
  assertEquals((await healthy()).code, 0);
  using slow = await HttpConnection.open(target);
  await slow.send("/slow");
  using _request = await backend.request();
  const stop = await run("stop", "--timeout", "100ms");
  assertEquals([stop.code, stop.stdout], [1, ""]);
  assertMatch(stop.stderr, /it has not ended yet, and goes on stopping/);
  assertEquals((await run("healthcheck")).code, 0, "it answers");
  const strict = await healthy();
  assertEquals(strict.code, 1);
  assertMatch(strict.stderr, /no generation of the server serves/);
  const second = await run("stop");
  assertEquals([second.code, second.stdout], [0, "stopped\n"]);
  await wrapper.program.exited;
});

Deno.test({
  name: "who is neither root nor its user cannot reach it by its name",
  ignore: ignoreUnless(UNPRIVILEGED.length > 0, "to be another user needs root"),
  async fn() {
    using folder = tempDir();
    const hostname = loopbackHost();
    await using binder = await startBinder([`${hostname}:80`], {
      args: ["--mode", "0666", "--allow-uid", "65534"],
    });
    const config = folder.file("site.cfg.eta");
    Deno.writeTextFileSync(config, site(tag({ hostname, port: 80 }), "ok"));
    await using wrapper = startPlain(binder.sock, config);
    await binder.waitFor(({ wrappers }) => wrappers.some(({ service }) => service));
    for (const command of ["status", "reload", "stop", "upgrade"]) {
      const [first = "", ...rest] = [...UNPRIVILEGED, multibinder(), command];
      const { code, stderr } = await runProgram([first, ...rest, "--sock", binder.sock, "site"]);
      assertEquals(code, 1);
      assertMatch(stderr, /Not permitted: uid 65534/);
    }
    // Its name in the abstract namespace is no secret. A long request of a user who is not let in is not even read.
    const [first = "", ...rest] = [...UNPRIVILEGED, "/usr/bin/python3", "-c", LONG_REQUEST];
    const { wrappers: [one] } = await binder.waitFor(() => true);
    const { stdout } = await runProgram([first, ...rest, one?.control ?? ""]);
    assertMatch(stdout, /^{.*message longer than 4096 bytes/);
    assert(!wrapper.ended);
  },
});

/** Sends a long request to a control socket in the abstract namespace. */
const LONG_REQUEST = `
import socket, sys
control = socket.socket(socket.AF_UNIX)
control.connect(sys.argv[1].replace("@", "\\0", 1))
control.sendall(b'{"' + b"x" * 8000)
print(control.recv(65536).decode())
`;

Deno.test("the binder's successor, and a binder after it, know the wrappers as well", async () => {
  using folder = tempDir();
  const hostname = loopbackHost();
  const sock = folder.file("sock");
  const config = folder.file("site.cfg.eta");
  Deno.writeTextFileSync(config, site(tag({ hostname, port: 80 }), "ok"));
  const isKnown = (binder: Awaited<ReturnType<typeof startBinder>>, pid: number) =>
    binder.waitFor(({ wrappers }) =>
      wrappers.some((one) => one.pid === pid && one.service === config)
    );
  await using cleanup = new AsyncDisposableStack();
  const first = await startBinder([`${hostname}:80`], { sock });
  const wrapper = cleanup.use(startPlain(sock, config));
  await isKnown(first, wrapper.pid);
  const upgraded = await runProgram([multibinder(), "upgrade", "--sock", sock]);
  assertEquals(upgraded.code, 0, upgraded.stderr);
  await isKnown(first, wrapper.pid);
  await first.program.end("SIGKILL");
  await using second = await startBinder([`${hostname}:80`], { sock });
  await isKnown(second, wrapper.pid);
  const reload = await runProgram([multibinder(), "reload", "--sock", sock, "site"]);
  assertEquals(reload.code, 0, reload.stderr);
  await first[Symbol.asyncDispose]();
});
