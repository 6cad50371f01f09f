/** A wrapper that is killed: its server goes on, and the next wrapper of the service takes over. */

import {
  assert,
  assertEquals,
  assertMatch,
  assertNotMatch,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { startBinder } from "../support/binder.ts";
import { deadMark } from "../support/generation.ts";
import {
  hasStopped,
  ignoreUnlessNoBinder,
  site,
  startWrapper,
  tag,
  Wrapper,
  type WrapperOptions,
} from "../support/haproxy.ts";
import { addressOf, bodyOf, get, HttpConnection, Load } from "../support/http_client.ts";
import { listeningSockets, tcpListeners } from "../support/process.ts";
import { hasEnded, processStatus, until } from "../support/process_status.ts";
import { startProgram } from "../support/program.ts";
import { SlowBackend } from "../support/slow_backend.ts";
import { ask, binderStatus, wrapperStatus } from "../support/status.ts";
import { freePort, loopbackHost, tempDir } from "../support/temp_dir.ts";
import { ignoreUnless, UNPRIVILEGED } from "../support/users.ts";

/** The generations of a service that run, whoever has started them. */
function generationsOf(service: string): number[] {
  return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter((pid) => {
    try {
      const variables = Deno.readTextFileSync(`/proc/${pid}/environ`).split("\0");
      return pid > 0 && variables.includes(`MULTIBINDER_SERVICE=${service}`);
    } catch {
      return false; // ended, or another user's
    }
  });
}

/** Starts another wrapper of the same service, with another spelling of the config's path. */
function startNext(before: Wrapper, options: WrapperOptions = {}): Promise<Wrapper> {
  return startWrapper("", {
    ...options,
    command: ["haproxy", "-f", before.path.replace("/site", "/.//site")],
  });
}

Deno.test("kill -9 of the wrapper under load: what runs is taken over and retired, three times", async () => {
  const target = { hostname: loopbackHost(), port: 80 };
  using backend = new SlowBackend();
  const template = (reply: string) => site(tag(target), reply, backend.options);
  await using binder = await startBinder();
  const options = { sock: binder.sock };
  await using first = await startWrapper(template("first"), options);
  await using later = new AsyncDisposableStack();
  await using load = new Load(target, { workers: 2 });
  let wrapper = first;
  for (let round = 1; round <= 3; round++) {
    using draining = await HttpConnection.open(target);
    await draining.send("/slow");
    using drainingRequest = await backend.request();
    const { pid: old } = await wrapper.serving();
    await wrapper.reload();
    await hasStopped(old);
    using serving = await HttpConnection.open(target);
    await serving.send("/slow");
    using servingRequest = await backend.request();
    const orphans = generationsOf(first.path);
    assertStrictEquals(orphans.length, 2);
    await wrapper.program.end("SIGKILL");
    await get(target);

    first.template = template(`round-${round}`);
    wrapper = later.use(await startNext(first, options));
    for (const pid of orphans) await hasStopped(pid);
    await until(async () => await get(target) === `round-${round}`);
    for (
      const [request, client] of [[drainingRequest, draining], [servingRequest, serving]] as const
    ) {
      await request.answer("slow");
      assertStrictEquals(bodyOf(await client.receive()), "slow");
    }
    await until(() => orphans.every(hasEnded));
    assertEquals(generationsOf(first.path), [(await wrapper.serving()).pid]);
    const { generations } = await wrapperStatus(wrapper.control);
    assertEquals(generations.map(({ state }) => state), ["serving"]);
  }
  assertEquals((await load.stop()).failures, []);
  assertStrictEquals((await wrapper.program.end("SIGTERM")).code, 0);
  assertEquals(generationsOf(first.path), []);
});

Deno.test({
  name: "without a binder the next wrapper takes the sockets from the orphan",
  ignore: ignoreUnlessNoBinder,
  async fn() {
    const target = { hostname: loopbackHost(), port: 80 };
    await using first = await startWrapper(site(tag(target), "first"));
    const { pid: orphan } = await first.serving();
    const before = tcpListeners(first.program.pid);
    assertStrictEquals(before.length, 1);
    await using load = new Load(target, { workers: 2 });
    await first.program.end("SIGKILL");
    first.template = site(tag(target), "next");
    await using next = await startNext(first);
    await until(() => hasEnded(orphan));
    assertEquals(tcpListeners(next.program.pid), before, "the same socket");
    assertStrictEquals(await get(target), "next");
    assertStrictEquals((await next.reload()).ok, true);
    await next.drained(1);
    assertEquals(generationsOf(first.path), [(await next.serving()).pid]);
    assertEquals((await load.stop()).failures, []);
  },
});

for (const order of ["the wrapper", "the binder"]) {
  Deno.test(`kill -9 of both, and ${order} comes back first: nothing is lost`, async () => {
    using folder = tempDir();
    const target = { hostname: loopbackHost(), port: 80 };
    const sock = folder.file("sock");
    const addresses = [`${target.hostname}:80`];
    await using binder = await startBinder(addresses, { sock });
    await using first = await startWrapper(site(tag(target), "first"), { sock });
    const held = tcpListeners(binder.program.pid);
    await using load = new Load(target, { workers: 2 });
    binder.program.signal("SIGKILL");
    await first.program.end("SIGKILL");
    first.template = site(tag(target), "next");

    await using started = new AsyncDisposableStack();
    const startBoth = [
      async () => started.use(await startNext(first, { sock })),
      async () => started.use(await startBinder(addresses, { sock })),
    ] as const;
    if (order === "the wrapper") {
      const wrapper = await startBoth[0]();
      await startBoth[1]();
      await wrapper.waitFor(({ binder }) => binder?.connected ?? false);
    } else {
      // It waits for somebody to hand its own address back.
      const nextBinder = startBoth[1]();
      await until(async () => (await ask("status", sock)).code === 0);
      const wrapper = await startBoth[0]();
      await nextBinder;
      await wrapper.waitFor(({ binder }) => binder?.connected ?? false);
    }
    assertEquals(tcpListeners((await binderStatus(sock)).pid), held, "the same socket");
    assertStrictEquals(await get(target), "next");
    await until(() => generationsOf(first.path).length === 1);
    assertEquals((await load.stop()).failures, []);
  });
}

Deno.test("a takeover that fails leaves the orphan serving", async () => {
  const target = { hostname: loopbackHost(), port: 80 };
  await using binder = await startBinder();
  await using first = await startWrapper(site(tag(target), "first"), { sock: binder.sock });
  const { pid } = await first.serving();
  await using load = new Load(target, { workers: 1 });
  await first.program.end("SIGKILL");
  first.template = site(tag(target), "x", { frontend: ["nonsense"] });
  await assertRejects(
    () => startNext(first, { sock: binder.sock }),
    Error,
    /HAProxy refused the config/,
  );
  assertEquals(generationsOf(first.path), [pid]);
  first.template = site(tag(target), "next");
  await using _next = await startNext(first, { sock: binder.sock });
  await until(() => hasEnded(pid));
  assertEquals((await load.stop()).failures, []);
});

Deno.test("an orphan whose request hangs is stopped at the drain cap", async () => {
  const target = { hostname: loopbackHost(), port: 80 };
  using backend = new SlowBackend();
  const template = site(tag(target), "ok", backend.options);
  await using binder = await startBinder();
  await using first = await startWrapper(template, { sock: binder.sock });
  using slow = await HttpConnection.open(target);
  await slow.send("/slow");
  using _request = await backend.request();
  const { pid } = await first.serving();
  await first.program.end("SIGKILL");
  const args = ["--drain", "300ms"];
  await using next = await startNext(first, { sock: binder.sock, args });
  await until(() => hasEnded(pid));
  assertEquals(generationsOf(first.path), [(await next.serving()).pid]);
});

Deno.test("an orphan that drains is retired by the wrapper's successor, and by its stop", async () => {
  const target = { hostname: loopbackHost(), port: 80 };
  using backend = new SlowBackend();
  const { frontend, rest } = backend.options;
  // Longer than the test waits for anything: the orphan does not end by itself.
  const options = { frontend, rest: [...rest ?? [], "timeout server 10m"] };
  const template = site(tag(target), "ok", options);
  await using binder = await startBinder();
  for (const then of ["upgrade", "SIGTERM", "stop"] as const) {
    await using first = await startWrapper(template, { sock: binder.sock });
    using slow = await HttpConnection.open(target);
    await slow.send("/slow");
    using request = await backend.request();
    const { pid } = await first.serving();
    await first.program.end("SIGKILL");
    await using next = await startNext(first, { sock: binder.sock });
    const { program } = next;
    const { pid: serving } = await next.serving();
    await hasStopped(pid);
    if (then === "upgrade") {
      program.signal("SIGUSR1");
      await next.waitFor(({ upgrades }) => upgrades === 1);
      await request.answer("slow");
      assertStrictEquals(bodyOf(await slow.receive()), "slow");
      await until(() => hasEnded(pid));
      program.signal("SIGTERM");
    } else {
      const asked: Promise<{ code: number }>[] = [];
      const stop = () => {
        if (then === "SIGTERM") program.signal(then);
        else asked.push(ask("stop", next.control));
      };
      stop();
      await until(() => hasEnded(serving));
      assertEquals(generationsOf(first.path), [pid]);
      stop();
      await until(() => hasEnded(pid));
      for (const { code } of await Promise.all(asked)) assertStrictEquals(code, 0);
    }
    assertStrictEquals((await program.exited).code, 0);
    assertEquals(generationsOf(first.path), []);
  }
});

Deno.test("what an orphan has bound by itself is not taken over", async () => {
  const hostname = loopbackHost();
  const [lent, own] = [{ hostname, port: 80 }, { hostname, port: 81 }];
  await using binder = await startBinder();
  const template = site([tag(lent), addressOf(own)], "ok");
  await using first = await startWrapper(template, { sock: binder.sock });
  const { pid } = await first.serving();
  await first.program.end("SIGKILL");
  await using _next = await startNext(first, { sock: binder.sock });
  await until(() => hasEnded(pid));
  const { sockets } = await binderStatus(binder.sock);
  assertEquals(sockets.map(({ address }) => address), [`${hostname}:80`]);
  // From a copy of its socket nobody would accept, and every other connection would wait there.
  for (let count = 0; count < 20; count++) assertStrictEquals(await get(own), "ok");
});

Deno.test({
  name: "a process of another user that calls itself an orphan plants no socket",
  ignore: ignoreUnless(Deno.uid() === 0, "to be another user needs root") || ignoreUnlessNoBinder,
  async fn() {
    using folder = tempDir();
    const target = { hostname: loopbackHost(), port: freePort() };
    const [config, planted] = ["site.cfg.eta", "planted.cfg"].map((name) => folder.file(name));
    assert(config && planted);
    Deno.writeTextFileSync(config, site(tag(target), "site"));
    Deno.writeTextFileSync(planted, site(addressOf(target), "planted"));
    const dead = await deadMark();
    // The one of this machine, whichever is tested: that one may lie where only root can read.
    const haproxy = ["/usr/sbin/haproxy", "-db", "-f", planted];
    await using intruder = startProgram(["env", ...UNPRIVILEGED, ...haproxy], {
      env: {
        MULTIBINDER_SERVICE: config,
        MULTIBINDER_WRAPPER: dead,
        MULTIBINDER_SOCKETS: "100",
      },
    });
    await until(() => listeningSockets(intruder.pid).length > 0);
    await using wrapper = new Wrapper("", { command: ["haproxy", "-f", config] });
    assertStrictEquals((await wrapper.program.exited).code, 1);
    const { stderr } = wrapper.program;
    assertNotMatch(stderr, /has died/, "what another user has executed is no orphan");
    assertMatch(stderr, /: the address is in use by haproxy \(pid \d+\)/);
    assertStrictEquals(await get(target), "planted");
  },
});

Deno.test("a wrapper of another config leaves it alone, and so does one of the same that lives", async () => {
  const hostname = loopbackHost();
  const [one, two] = [{ hostname, port: 80 }, { hostname, port: 81 }];
  await using binder = await startBinder();
  await using dead = await startWrapper(site(tag(one), "dead"), { sock: binder.sock });
  await using alive = await startWrapper(site(tag(two), "alive"), { sock: binder.sock });
  const [orphan, served] = [(await dead.serving()).pid, (await alive.serving()).pid];
  await dead.program.end("SIGKILL");
  await using other = await startWrapper(site(tag(two), "other"), { sock: binder.sock });
  await using same = await startNext(alive, { sock: binder.sock });
  for (const { program } of [other, same]) assertNotMatch(program.stderr, /has died/);
  assertEquals(generationsOf(dead.path), [orphan]);
  assertEquals(generationsOf(alive.path).sort(), [served, (await same.serving()).pid].sort());
  assertStrictEquals(await get(one), "dead");
});

Deno.test("no stranger is signalled: not by a pid file, nor by a mark, but a reused pid protects nobody", async () => {
  using folder = tempDir();
  const target = { hostname: loopbackHost(), port: 80 };
  const pidFile = folder.file("pid");
  await using binder = await startBinder();
  await using first = await startWrapper(site(tag(target), "first"), { sock: binder.sock });
  // Two processes that must not be signalled: the pid file names one, a wrapper that lives has started the other.
  const marked = (wrapper: string) =>
    startProgram(["sleep", "1000"], {
      env: { MULTIBINDER_SERVICE: first.path, MULTIBINDER_WRAPPER: wrapper },
    });
  await using named = startProgram(["sleep", "1000"]);
  await using owned = marked(String(Deno.pid));
  // Its wrapper is dead: the process with that pid is another by now.
  await using orphan = marked(String(named.pid));
  Deno.writeTextFileSync(pidFile, `${named.pid}\n`);
  const { pid } = await first.serving();
  await first.program.end("SIGKILL");
  await using next = await startWrapper("", {
    sock: binder.sock,
    command: ["haproxy", "-D", "-p", pidFile, "-f", first.path],
  });
  await until(() => hasEnded(pid));
  assertStrictEquals((await orphan.exited).signal, "SIGUSR1");
  await next.reload();
  assertStrictEquals(Deno.readTextFileSync(pidFile), `${(await next.serving()).pid}\n`);
  assertStrictEquals((await next.program.end("SIGTERM")).code, 0);
  for (const { pid } of [named, owned]) assertMatch(processStatus(pid, "State") ?? "", /^S/);
});
