/** The units as shipped, under real systemd, with HAProxy and traffic. */

import {
  assert,
  assertEquals,
  assertMatch,
  assertNotMatch,
  assertNotStrictEquals,
  assertStrictEquals,
} from "@std/assert";
import { containerTest } from "../container/engine.ts";
import { multibinder } from "../support/binder.ts";
import { get, HttpConnection, Load } from "../support/http_client.ts";
import { assertNoneFailed } from "../support/outcome.ts";
import { hasEnded, until } from "../support/process_status.ts";
import type { WrapperStatus } from "../support/status.ts";
import { commandsOf, fileOn } from "../support/page.ts";
import { runProgram } from "../support/program.ts";
import { tempDir } from "../support/temp_dir.ts";
import {
  beginRequest,
  BINDER,
  BINDER_CONFIG,
  binderConfig,
  config,
  CONTROL,
  finish,
  HAPROXY,
  Host,
  outerPid,
  TEMPLATE,
  VARIABLES,
} from "./host.ts";

containerTest("docs/systemd.md's walk-through, typed in its order", async () => {
  const [build = "", ...steps] = commandsOf("docs/systemd.md");
  assertStrictEquals(steps.length, 6);
  // A clone in which the program is built already.
  using clone = tempDir();
  const root = new URL("../..", import.meta.url).pathname;
  const built = `mkdir dist && cp '${multibinder()}' dist/multibinder && cp -r '${root}examples' .`;
  Deno.mkdirSync(clone.file("scripts"));
  Deno.writeTextFileSync(clone.file("scripts/build.sh"), `#!/bin/sh\n${built}\n`, { mode: 0o755 });
  const { code, stderr } = await runProgram(["sh", "-ec", build], { cwd: clone.path });
  assertEquals([code, stderr], [0, ""]);
  await using host = await Host.bootPlain(["-v", `${clone.path}:/clone:ro`]);
  const type = async () => await host.run("sh", "-ec", `cd /root\n${steps.shift()}`);
  await host.run("cp", "/clone/multibinder.tar", "/root");
  await type();
  assertMatch(await type(), /Status: "holding 2 sockets"[^]*\n {2}0\.0\.0\.0:443 /);
  await type();
  assertStrictEquals(await get(host.target), "hello");
  await type();
  assertStrictEquals(await get(host.target), "hello again");
  assertMatch(
    await type(),
    /Status: "generation 2 serves, the last reload failed: HAProxy refused/,
  );
  assertMatch(await type(), /upgraded from/);
  assertStrictEquals(await get(host.target), "hello again");
});

containerTest("the units are in order, hardened, and report what they do", async () => {
  await using host = await Host.serving("V1");
  const units = ["multibinder.socket", BINDER, "multibinder-haproxy@.service"];
  const paths = units.map((unit) => `/etc/systemd/system/${unit}`);
  const { code, stderr } = await host.try("systemd-analyze", "verify", ...paths);
  assertEquals([code, stderr], [0, ""]);
  // Tenths of what it calls exposure; docs/systemd.md has the numbers.
  for (const unit of [BINDER, HAPROXY]) {
    await host.run("systemd-analyze", "security", "--no-pager", "--threshold=17", unit);
  }
  assertStrictEquals(await get(host.target), "V1");
  assertStrictEquals(await host.show(BINDER, "StatusText"), "holding 1 socket");
  assertStrictEquals(await host.show(HAPROXY, "StatusText"), "generation 1 serves");
  assertStrictEquals(await host.show(BINDER, "NFileDescriptorStore"), "1");
  const [socket] = JSON.parse(await host.run("multibinder", "ls", "--json"));
  const { command, generation, unit, container } = socket.servedBy[0];
  assertEquals([command, generation], ["haproxy", 1]);
  // The container that plays the host hides the unit, unless it has a cgroup namespace of its own.
  if (container === null) assertStrictEquals(unit, HAPROXY);
  else assertStrictEquals(container, await host.run("hostname"));
});

containerTest(
  "systemctl reload waits for the new generation, or fails with its reason",
  async () => {
    await using host = await Host.serving("V1");
    host.write(TEMPLATE, config("V2"));
    await host.run("systemctl", "reload", HAPROXY);
    assertStrictEquals(await get(host.target), "V2");

    host.write(TEMPLATE, config("V3").replace("mode http", "mode nonsense"));
    const { code } = await host.try("systemctl", "reload", HAPROXY);
    assertStrictEquals(code, 1);
    assertStrictEquals(await get(host.target), "V2");
    assertStrictEquals(await host.show(HAPROXY, "ActiveState"), "active");
    const why = /HAProxy refused the config: .*unknown proxy mode 'nonsense'/;
    assertMatch(await host.show(HAPROXY, "StatusText"), why);

    const errors = await host.log(HAPROXY, "--priority=err");
    assertMatch(errors.join("\n"), /haproxy: \[ALERT\].*Fatal errors found/);
    assertMatch(errors.join("\n"), /reload failed, the old generation goes on serving/);
    const all = await host.log(HAPROXY);
    assertStrictEquals(all.filter((line) => why.test(line)).length, 1, "it is told once");
    assert(all.includes("reloading"), "neither a time nor a priority is part of the message");
    assert(!errors.includes("reloading"));

    host.write(TEMPLATE, config("V3"));
    await host.run("systemctl", "reload", HAPROXY);
    assertStrictEquals(await get(host.target), "V3");
    assertStrictEquals(await host.show(HAPROXY, "StatusText"), "generation 3 serves");
  },
);

/** The messages of a unit at a priority of syslog(3), as the journal has them. */
async function messagesAt(host: Host, unit: string, priority: number): Promise<string> {
  return (await host.log(unit, `--priority=${priority}..${priority}`)).join("\n");
}

containerTest("HAProxy's own lines have the priorities of their tags in the journal", async () => {
  await using host = await Host.boot();
  host.write(BINDER_CONFIG, binderConfig(":80"));
  // Nobody answers there.
  const backend = "backend app\n    server one 127.0.0.1:9 check inter 100ms fall 1\n";
  host.write(TEMPLATE, config("V1") + backend);
  await host.run("systemctl", "enable", "--now", "multibinder", "multibinder-haproxy@site");
  await host.journal.waitFor(/^\[ALERT\].*app.* has no server available/);
  assertMatch(await messagesAt(host, HAPROXY, 4), /^\[WARNING\].*Server app\/one is DOWN/m);
  assertMatch(await messagesAt(host, HAPROXY, 3), /^\[ALERT\].*app.* has no server available/m);
  // Also after an upgrade of the wrapper, for what it has not started itself.
  await host.run("multibinder", "upgrade", "--sock", CONTROL);
  host.write(TEMPLATE, config("V2"));
  await host.run("systemctl", "reload", HAPROXY);
  await host.journal.waitFor(/^\[WARNING\].*Proxy site stopped/);
  assertMatch(await messagesAt(host, HAPROXY, 4), /^\[WARNING\].*Proxy site stopped/m);
  assertNotMatch(await messagesAt(host, HAPROXY, 6), /\[(WARNING|ALERT)\]/);
  assertStrictEquals(await host.show(HAPROXY, "StatusText"), "generation 2 serves");
});

containerTest("restarts, a reload and kill -9 of the binder under load lose nothing", async () => {
  await using host = await Host.serving("V1");
  const before = await host.listening(BINDER);
  assertStrictEquals(before.length, 1);
  const { stdout } = await host.try("multibinder", "doctor", "--json");
  const findings: { check: string; level: string }[] = JSON.parse(stdout);
  const cgroup = await host.run("cat", `/proc/${await host.show(BINDER, "MainPID")}/cgroup`);
  assertStrictEquals(findings.find(({ check }) => check === "fd_store")?.level, "ok", cgroup);
  await using load = new Load(host.target, { workers: 2 });
  const pid = await host.show(BINDER, "MainPID");

  await host.run("systemctl", "reload", BINDER);
  assertMatch((await host.log(BINDER)).join("\n"), /^nothing has changed$/m);
  await host.run("multibinder", "upgrade");
  assertStrictEquals(await host.show(BINDER, "MainPID"), pid);
  assertEquals(await host.listening(BINDER), before);

  await host.run("systemctl", "restart", BINDER);
  assertNotStrictEquals(await host.show(BINDER, "MainPID"), pid);
  assertEquals(await host.listening(BINDER), before);

  const killed = Number(await host.show(BINDER, "MainPID"));
  await host.kill(BINDER);
  await host.waitFor(({ pid, sockets }) => pid !== killed && sockets.length === 1);
  assertEquals(await host.listening(BINDER), before);
  // The wrapper gets its sockets from the new one.
  host.write(TEMPLATE, config("V2"));
  await host.run("systemctl", "reload", HAPROXY);
  assertEquals(await host.listening(BINDER), before);

  // Nobody accepts for a moment: clients wait in the queue.
  await host.run("systemctl", "restart", HAPROXY);
  assertEquals(await host.listening(BINDER), before);
  assertNoneFailed("reload, restart, kill -9 of the binder, restart of HAProxy", await load.stop());
});

containerTest(
  "with nobody but systemd left, a client waits in the queue and is served",
  async () => {
    await using host = await Host.serving("V1");
    await host.run("systemctl", "stop", HAPROXY);
    using waiting = await HttpConnection.open(host.target);
    await waiting.send("/", ["Connection: close"]);
    const killed = Number(await host.show(BINDER, "MainPID"));
    await host.kill(BINDER);
    await host.waitFor(({ pid, sockets }) => pid !== killed && sockets.length === 1);
    await host.run("systemctl", "start", HAPROXY);
    const { status, body } = await waiting.receive();
    assertEquals([status, body], [200, "V1"]);
  },
);

containerTest(
  "kill -9 of the wrapper under load loses nothing: the next one takes over",
  async () => {
    await using host = await Host.serving("V1");
    await using load = new Load(host.target, { workers: 2 });
    const serves = ({ generations }: WrapperStatus) => generations[0]?.state === "serving";
    const [old] = (await host.waitFor(serves, CONTROL)).generations;
    const pid = outerPid(host.init, old?.pid ?? 0);
    await host.kill(HAPROXY);
    await until(() => hasEnded(pid));
    assertStrictEquals(await get(host.target), "V1");
    assertNoneFailed("kill -9 of the wrapper", await load.stop());
  },
);

containerTest("systemctl stop lets a slow request finish", async () => {
  await using host = await Host.serving("V1");
  using slow = await beginRequest(host);
  const stopping = host.run("systemctl", "stop", HAPROXY);
  await until(async () => await host.show(HAPROXY, "StatusText") === "stopping, 1 draining");
  assertStrictEquals(await host.show(HAPROXY, "ActiveState"), "deactivating");
  assertStrictEquals(await finish(slow), "V1");
  await stopping;
  assertStrictEquals(await host.show(HAPROXY, "Result"), "success");
});

containerTest(
  "a stop may take the time of the drain cap, whatever the unit's own limit",
  async () => {
    await using host = await Host.serving("V1");
    host.write(VARIABLES, "OPTIONS='--drain 3s'\n");
    const limit = "[Service]\nTimeoutStopSec=1s\n";
    host.write(`/etc/systemd/system/${HAPROXY}.d/limit.conf`, limit);
    await host.run("systemctl", "daemon-reload");
    await host.run("systemctl", "restart", HAPROXY);
    using _endless = await beginRequest(host);
    await host.run("systemctl", "stop", HAPROXY);
    const log = await host.log(HAPROXY);
    assert(log.some((line) => line.startsWith("still runs at the drain cap")));
    assert(!log.some((line) => /timed out/.test(line)), log.join("\n"));
    assertStrictEquals(await host.show(HAPROXY, "Result"), "success");
  },
);

containerTest("sockets of a unit last, and a restart does not make them block", async () => {
  await using host = await Host.boot();
  for (
    const path of ["web.socket", `${BINDER}.d/web.conf`].map((one) => `/etc/systemd/system/${one}`)
  ) {
    host.write(path, fileOn("docs/systemd.md", path));
  }
  host.write(TEMPLATE, config("V1"));
  await host.run("systemctl", "daemon-reload");
  await host.run("systemctl", "enable", "web.socket");
  await host.run("systemctl", "enable", "--now", "multibinder", "multibinder-haproxy@site");
  await host.waitFor(({ sockets }) => sockets[0]?.address === "0.0.0.0:80");
  assertStrictEquals(await host.show(BINDER, "NFileDescriptorStore"), "0");
  const before = await host.listening(BINDER);
  await using load = new Load(host.target, { workers: 2 });
  for (let count = 0; count < 3; count++) await host.run("systemctl", "restart", BINDER);
  for (const verb of ["stop", "start"]) await host.run("systemctl", verb, BINDER);
  assertEquals(await host.listening(BINDER), before);
  // Blocking accepts would show in requests that HAProxy has accepted and cannot attend to.
  const { ok } = load.outcome;
  for (let count = 0; count < 20; count++) assertStrictEquals(await get(host.target), "V1");
  assert(load.outcome.ok > ok);
  assertNoneFailed("restarts with a socket of a unit", await load.stop());
});
