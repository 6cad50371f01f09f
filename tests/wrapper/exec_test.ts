/** The life of a server under the wrapper: its start, its stop, and what it gets from it. */

import { assert, assertEquals, assertMatch, assertRejects, assertStrictEquals } from "@std/assert";
import { multibinder, startBinder } from "../support/binder.ts";
import {
  hasStopped,
  ignoreUnlessNoBinder,
  site,
  startWrapper,
  tag,
  Wrapper,
} from "../support/haproxy.ts";
import {
  addressOf,
  bodyOf,
  get,
  HttpConnection,
  Load,
  newTarget,
  type Target,
} from "../support/http_client.ts";
import { scrape } from "../support/metrics.ts";
import { listeningSockets, openFds, socketInode, tcpListeners } from "../support/process.ts";
import {
  childrenOf,
  commandOf,
  processGroup,
  processStatus,
  signalsIn,
  until,
} from "../support/process_status.ts";
import { runProgram } from "../support/program.ts";
import { SlowBackend } from "../support/slow_backend.ts";
import { loopbackHost, tempDir } from "../support/temp_dir.ts";
import { ignoreUnless } from "../support/users.ts";

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test(`v1 and v2 answer side by side; ${signal} to v1 spoils no request`, async () => {
    const shared = newTarget();
    const own = { ...shared, port: 61081 };
    using backend = new SlowBackend();
    await using binder = await startBinder();
    const options = { sock: binder.sock };
    await using v1 = await startWrapper(
      site([tag(shared), tag(own)], "V1", backend.options),
      options,
    );
    await using v2 = await startWrapper(site(tag(shared), "V2"), options);
    await using load = new Load(shared, { workers: 4 });
    await until(() => ["V1", "V2"].every((reply) => load.outcome.replies.has(reply)));

    using slow = await HttpConnection.open(own);
    await slow.send("/slow");
    using request = await backend.request();
    const { pid } = await v1.serving();
    v1.program.signal(signal);
    await until(() => listeningSockets(pid).length === 0);
    assert(commandOf(pid), "it waits for the request under way");
    await request.answer("slow");
    assertStrictEquals(bodyOf(await slow.receive()), "slow");
    assertEquals(await v1.program.exited, { code: 0, signal: null });

    await load.more("V2", 100);
    assertEquals((await load.stop()).failures, []);
    assertStrictEquals((await v2.serving()).generation, 1);
  });
}

Deno.test("a second SIGTERM does not wait for a request that hangs", async () => {
  const target = newTarget();
  using backend = new SlowBackend();
  await using binder = await startBinder();
  await using wrapper = await startWrapper(site(tag(target), "ok", backend.options), {
    sock: binder.sock,
  });
  using slow = await HttpConnection.open(target);
  await slow.send("/slow");
  using _request = await backend.request();
  const { pid } = await wrapper.serving();
  wrapper.program.signal("SIGTERM");
  await until(() => listeningSockets(pid).length === 0);
  wrapper.program.signal("SIGTERM");
  // HAProxy itself has no handler for it.
  assertEquals(await wrapper.program.exited, { code: 143, signal: null });
  assertStrictEquals(commandOf(pid), undefined, "HAProxy is gone");
  await assertRejects(() => slow.receive());
});

Deno.test({
  name: "without a binder, new clients are refused while it stops, and not before",
  ignore: ignoreUnlessNoBinder,
  async fn() {
    const [target, metrics] = [newTarget(), newTarget()];
    using backend = new SlowBackend();
    await using wrapper = await startWrapper(site(tag(target), "ok", backend.options), {
      args: ["--stop-delay", "2s", "--metrics", addressOf(metrics)],
    });
    using slow = await HttpConnection.open(target);
    await slow.send("/slow");
    using request = await backend.request();
    const { pid } = await wrapper.serving();
    wrapper.program.signal("SIGTERM");
    await until(() => scrape(metrics, "/ready").then(() => false, () => true));
    assertStrictEquals(await get(target), "ok");
    await hasStopped(pid);
    await assertRejects(() => get(target), Deno.errors.ConnectionRefused);
    await request.answer("slow");
    assertStrictEquals(bodyOf(await slow.receive()), "slow");
  },
});

Deno.test("the server's end is the wrapper's, with 128 + n for a signal", async () => {
  const target = newTarget();
  await using binder = await startBinder();
  for (const [signal, code] of [["SIGKILL", 137], ["SIGTERM", 143]] as const) {
    await using wrapper = await startWrapper(site(tag(target), "ok"), { sock: binder.sock });
    Deno.kill((await wrapper.serving()).pid, signal);
    assertEquals(await wrapper.program.exited, { code, signal: null });
  }
});

Deno.test("other questions to HAProxy are passed through", async () => {
  const { code, stdout } = await runProgram([multibinder(), "exec", "--", "haproxy", "-v"]);
  assertStrictEquals(code, 0);
  assertMatch(stdout, /^HAProxy version/);
});

/** A program in HAProxy's place: it finds every config good, and then only waits. */
function fakeHaproxy(folder: { file(name: string): string }, prelude = ""): string {
  const path = folder.file("haproxy");
  const script = `#!/bin/sh\nfor word; do [ "$word" != -c ] || exit 0; done\n${prelude}`;
  Deno.writeTextFileSync(path, `${script}\nexec sleep infinity\n`);
  Deno.chmodSync(path, 0o755);
  return path;
}

Deno.test("the server gets its sockets, and else what a shell would give it", async () => {
  const targets = [61080, 61081, 61082].map((port) => ({ hostname: loopbackHost(), port }));
  using folder = tempDir();
  await using binder = await startBinder();
  // What starts the wrapper leaves it open descriptors, and signals ignored and blocked.
  const through = [
    ...["prlimit", "--nofile=1000:4000", "sh", "-c", 'exec "$0" "$@" 7</dev/null 9</dev/null'],
    ...["env", "--ignore-signal=PIPE,USR1,HUP", "--block-signal=ALRM,USR2"],
  ];
  await using wrapper = new Wrapper(site(targets.map(tag), "ok"), {
    sock: binder.sock,
    through,
    command: [fakeHaproxy(folder), "-f", "site.cfg.eta"],
  });
  const { generations } = await wrapper.waitFor(({ generations }) => generations.length === 1);
  const pid = generations[0]?.pid ?? 0;
  await until(() => commandOf(pid) === "sleep");

  assertEquals([...openFds(pid).keys()].toSorted((a, b) => a - b), [0, 1, 2, 3, 4, 5]);
  const addresses = listeningSockets(binder.program.pid);
  targets.forEach(({ port }, index) => {
    const held = addresses.find(({ address }) =>
      parseInt(address.split(":")[1] ?? "", 16) === port
    );
    assertStrictEquals(socketInode(pid, 3 + index), held?.inode, "in the order of the template");
  });
  assertEquals(signalsIn(pid, "SigBlk"), []);
  assertEquals(signalsIn(pid, "SigIgn"), []);
  assertEquals(signalsIn(pid, "SigCgt"), []);
  const limits = Deno.readTextFileSync(`/proc/${pid}/limits`);
  assertMatch(limits, /^Max open files +1000 +4000 /m);
  assertStrictEquals(processGroup(pid), pid, "a group of its own");
});

Deno.test({
  name: "as PID 1 it reaps orphans, and SIGTERM stops it gracefully",
  ignore: ignoreUnless(Deno.uid() === 0, "a PID namespace needs root"),
  async fn() {
    const target = newTarget();
    using folder = tempDir();
    const wake = folder.file("wake");
    await runProgram(["mkfifo", wake]);
    const haproxy = folder.file("haproxy");
    // An orphan that lives until the pipe is opened for writing.
    Deno.writeTextFileSync(
      haproxy,
      `#!/bin/sh\n(sh -c ': <${wake}; exit 3' & )\nexec haproxy "$@"\n`,
    );
    Deno.chmodSync(haproxy, 0o755);
    await using binder = await startBinder();
    await using wrapper = new Wrapper(site(tag(target), "ok"), {
      sock: binder.sock,
      through: ["unshare", "--pid", "--fork", "--mount-proc"],
      command: [haproxy, "-f", "site.cfg.eta"],
    });
    await wrapper.serving();
    const [init = 0] = childrenOf(wrapper.program.pid);
    assertMatch(processStatus(init, "NSpid") ?? "", /\s1$/);
    const orphans = childrenOf(init).filter((pid) => commandOf(pid) === "sh");
    assertStrictEquals(orphans.length, 2, "one of the check, one of the server");
    (await Deno.open(wake, { write: true })).close();
    await until(() => orphans.every((pid) => processStatus(pid, "State") === undefined));

    assertStrictEquals(await get(target), "ok");
    Deno.kill(init, "SIGTERM");
    assertEquals(await wrapper.program.exited, { code: 0, signal: null });
    assertMatch(wrapper.program.stderr, /stopping gracefully[^]* stopped generation=1 .*code=0/);
  },
});

Deno.test("1000 sockets are checked and served", async () => {
  const hostname = loopbackHost();
  const targets = Array.from(
    { length: 1000 },
    (_, index): Target => ({ hostname, port: 61_000 + index }),
  );
  await using binder = await startBinder();
  await using wrapper = await startWrapper(site(targets.map(tag), "ok"), { sock: binder.sock });
  const held = tcpListeners(binder.program.pid);
  const inherited = tcpListeners((await wrapper.serving()).pid);
  assertStrictEquals(inherited.length, 1000);
  assertEquals(new Set(inherited), new Set(held));
  for (const port of [61_000, 61_252, 61_253, 61_999]) {
    assertStrictEquals(await get({ hostname, port }), "ok");
  }
});
