/** `multibinder status`, `reload` and `upgrade`: what they print, and what they say when they cannot. */

import { assert, assertEquals, assertMatch, assertNotMatch, assertStrictEquals } from "@std/assert";
import { multibinder, startBinder } from "../support/binder.ts";
import { site, startWrapper, tag } from "../support/haproxy.ts";
import { runProgram } from "../support/program.ts";
import { ask, binderStatus, wrapperStatus } from "../support/status.ts";
import { loopbackHost, tempDir } from "../support/temp_dir.ts";
import { ignoreUnless, UNPRIVILEGED } from "../support/users.ts";
import { VERSION } from "../../src/version.ts";

const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

Deno.test("status of a binder and of a wrapper, as JSON and for people", async () => {
  using folder = tempDir();
  const target = { hostname: loopbackHost(), port: 80 };
  const address = `${target.hostname}:80`;
  const control = folder.file("control");
  await using binder = await startBinder([address, `udp:${address}`]);
  await using wrapper = await startWrapper(site(tag(target), "ok"), {
    sock: binder.sock,
    args: ["--control", control],
  });
  const { connections, requests, clients, uptimeSeconds, ...rest } = await binderStatus(
    binder.sock,
  );
  assert([connections, requests, clients].every((count) => count > 0));
  assert(uptimeSeconds >= 0 && uptimeSeconds < 60);
  const [tcp, udp] = rest.sockets;
  assertEquals(rest, {
    role: "binder",
    version: VERSION,
    pid: binder.program.pid,
    sock: binder.sock,
    sockets: [
      { address, backlog: 1000, queue: tcp?.queue, holders: [wrapper.program.pid] },
      { address: `udp:${address}`, backlog: 1000, holders: [] },
    ],
    errors: 0,
    upgrades: 0,
    lastUpgrade: null,
  });
  assertEquals(Object.keys(tcp?.queue ?? {}).sort(), ["length", "limit"]);
  assertStrictEquals(udp?.queue, undefined);

  const { generation: number, pid } = wrapper.serving;
  const { uptimeSeconds: _, lastReload, ...own } = await wrapperStatus(control);
  assertEquals(own, {
    role: "wrapper",
    version: VERSION,
    pid: wrapper.program.pid,
    service: wrapper.path,
    binder: { sock: binder.sock, connected: true },
    sockets: [{ address }],
    generations: [{ number, pid, state: "serving" }],
    upgrades: 0,
    lastUpgrade: null,
  });
  assertEquals([lastReload?.ok, lastReload?.message], [true, "generation 1 serves"]);
  assertMatch(lastReload?.at ?? "", ISO_TIME);

  wrapper.template = "nonsense";
  assertStrictEquals((await ask("reload", control)).code, 1);
  assertStrictEquals((await ask("upgrade", control)).code, 0);
  const { lastUpgrade } = await wrapperStatus(control);
  assertMatch(lastUpgrade?.at ?? "", ISO_TIME);
  for (const args of [["unbind", ":80"], ["render", wrapper.path]] as const) {
    wrapper.template = `${tag(target)}\n`;
    const { code, stderr } = await runProgram([multibinder(), ...args, "--sock", control]);
    assertStrictEquals(code, 1);
    assertMatch(stderr, /it is a wrapper, or an older binder; name a binder's control socket\n$/);
  }
  const forPeople = await ask("status", control);
  for (
    const line of [
      "role: wrapper",
      `service: ${wrapper.path}`,
      `binder: sock ${binder.sock}  connected true`,
      `  address ${address}`,
      `  number ${number}  pid ${pid}  state serving`,
      /^lastReload: at \S+ {2}ok false {2}message HAProxy refused the config/,
      "upgrades: 1",
      new RegExp(`^lastUpgrade: at \\S+  ok true  .*upgraded from ${VERSION} to ${VERSION}$`),
    ]
  ) {
    const found = forPeople.stdout.split("\n").some((text) =>
      typeof line === "string" ? text === line : line.test(text)
    );
    assert(found, `no ${line} in:\n${forPeople.stdout}`);
  }
  const ofBinder = (await ask("status", binder.sock)).stdout;
  assertMatch(
    ofBinder,
    new RegExp(`^  address ${address}  backlog 1000  queue \\(.*holders \\d+`, "m"),
  );
  assertMatch(ofBinder, /^lastUpgrade: none$/m);
});

Deno.test("where nobody answers, or somebody else, each command says so and exits with 1", async () => {
  using folder = tempDir();
  await using binder = await startBinder();
  const [missing, file, dead] = [folder.file("missing"), folder.file("file"), folder.file("dead")];
  Deno.writeTextFileSync(file, "");
  {
    await using killed = await startBinder([], { sock: dead });
    killed.program.signal("SIGKILL");
    await killed.program.exited;
  }
  const rude = folder.file("rude");
  using listener = Deno.listen({ transport: "unix", path: rude });
  const rudeness = (async () => {
    for await (const connection of listener) connection.close();
  })();
  const cases: [string, RegExp][] = [
    [missing, /at \S+missing: there is no such file \(ENOENT\)/],
    [file, /at \S+file: .*\(ECONNREFUSED\)/],
    [dead, /at \S+dead: nobody listens .*\(ECONNREFUSED\)/],
    [rude, /\/rude (?:closed the connection without an answer|failed: .*)/],
    [folder.file("x".repeat(200)), /the path has \d+ bytes, and a UNIX socket's has at most 107/],
  ];
  for (const command of ["status", "reload", "upgrade"] as const) {
    for (const [path, why] of cases) {
      const { code, stderr, stdout } = await ask(command, path);
      assertEquals([code, stdout], [1, ""], `${command} ${path}`);
      assertMatch(stderr, why, command);
      // A command says whom it wanted, and so what is to be started.
      if (command === "reload") assertNotMatch(stderr, /no binder|multibinder bind/);
    }
  }
  const reload = await ask("reload", binder.sock);
  assertStrictEquals(reload.code, 1);
  assertMatch(
    reload.stderr,
    /it is a binder, or an older wrapper; name a wrapper's control socket/,
  );
  listener.close();
  await rudeness;
});

Deno.test({
  name: "another user may see the status, and nothing else",
  ignore: ignoreUnless(UNPRIVILEGED.length > 0, "to be another user needs root"),
  async fn() {
    const target = { hostname: loopbackHost(), port: 80 };
    using folder = tempDir();
    const control = folder.file("control");
    await using binder = await startBinder([], {
      args: ["--mode", "0666", "--allow-uid", "65534"],
    });
    await using _wrapper = await startWrapper(site(tag(target), "ok"), {
      sock: binder.sock,
      args: ["--control", control],
    });
    const askAsNobody = (command: string, sock: string) => {
      const [first = "", ...rest] = [...UNPRIVILEGED, multibinder(), command, "--sock", sock];
      return runProgram([first, ...rest]);
    };
    assertStrictEquals((await askAsNobody("status", binder.sock)).code, 0);
    const upgrade = await askAsNobody("upgrade", binder.sock);
    assertStrictEquals(upgrade.code, 1);
    assertMatch(upgrade.stderr, /Not permitted/);
    assertStrictEquals((await binderStatus(binder.sock)).lastUpgrade, null);
    // A wrapper's control socket is its owner's alone, until that one opens it.
    assertMatch((await askAsNobody("status", control)).stderr, /EACCES/);
    Deno.chmodSync(control, 0o666);
    assertStrictEquals((await askAsNobody("status", control)).code, 0);
    for (const command of ["reload", "upgrade"]) {
      assertMatch((await askAsNobody(command, control)).stderr, /Not permitted/);
    }
  },
});
