/** Reloads: good ones, bad ones, many at once, and what becomes of the old generations. */

import {
  assertEquals,
  assertMatch,
  assertNotMatch,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { startBinder } from "../support/binder.ts";
import { ignoreUnlessNoBinder, site, startWrapper, tag } from "../support/haproxy.ts";
import { bodyOf, get, HttpConnection, Load, newTarget } from "../support/http_client.ts";
import { listeningSockets, socketInodes, tcpListeners } from "../support/process.ts";
import { childrenOf, commandOf, until } from "../support/process_status.ts";
import { ask } from "../support/status.ts";
import { SlowBackend } from "../support/slow_backend.ts";
import { loopbackHost } from "../support/temp_dir.ts";

Deno.test("SIGUSR2 and SIGHUP start a new generation and retire the one before", async () => {
  const target = newTarget();
  await using binder = await startBinder();
  await using wrapper = await startWrapper(site(tag(target), "first"), { sock: binder.sock });
  for (const signal of ["SIGUSR2", "SIGHUP"] as const) {
    const before = await wrapper.serving();
    wrapper.template = site(tag(target), signal);
    assertStrictEquals((await wrapper.reload(signal)).ok, true);
    assertStrictEquals((await wrapper.serving()).generation, before.generation + 1);
    await wrapper.drained(before.generation);
    assertStrictEquals(await get(target), signal);
  }
});

Deno.test("a reload that fails says why, and the old generation goes on", async () => {
  const target = newTarget();
  await using binder = await startBinder();
  await using wrapper = await startWrapper(site(tag(target), "old"), { sock: binder.sock });
  using stranger = Deno.listen({ hostname: target.hostname, port: 0 });
  const broken: [string | undefined, RegExp][] = [
    [
      site(tag(target), "new", { frontend: ["no-such-keyword"] }),
      /HAProxy refused the config: .*unknown keyword 'no-such-keyword'/,
    ],
    [site("<%= bind_tcp('', 80", "new"), /site\.cfg\.eta:8: no %> closes this tag/],
    [undefined, /cannot read the template \S+site\.cfg\.eta: No such file/],
    [
      site([tag(target), tag(stranger.addr)], "new"),
      new RegExp(
        `:${stranger.addr.port}: .* in use by \\S+ \\(pid ${Deno.pid}\\) \\(EADDRINUSE\\)`,
      ),
    ],
    [site("<%= bind_tcp('203.0.113.1', 80) %>", "new"), /no such address.*EADDRNOTAVAIL/],
  ];
  await using load = new Load(target, { workers: 2 });
  const { pid } = await wrapper.serving();
  for (const [template, why] of broken) {
    if (template === undefined) Deno.removeSync(wrapper.path);
    else wrapper.template = template;
    const { ok, message } = await wrapper.reload();
    assertStrictEquals(ok, false);
    assertMatch(message, why);
  }
  assertStrictEquals((await wrapper.serving()).pid, pid);
  const { failures, replies } = await load.stop();
  assertEquals([failures, [...replies.keys()]], [[], ["old"]]);
  assertStrictEquals(await get(target), "old");

  wrapper.template = site(tag(target), "new");
  assertStrictEquals((await wrapper.reload()).ok, true);
  await wrapper.drained(1);
  assertStrictEquals(await get(target), "new");
});

Deno.test("a storm of 200 signals ends with one generation and the last config", async () => {
  const target = newTarget();
  await using binder = await startBinder();
  await using wrapper = await startWrapper(site(tag(target), "first"), { sock: binder.sock });
  await using load = new Load(target, { workers: 2 });
  for (let count = 1; count <= 200; count++) {
    wrapper.template = site(tag(target), count === 200 ? "last" : `config-${count}`);
    wrapper.program.signal("SIGUSR2");
    await get(target);
  }
  await until(async () => await get(target) === "last");
  const servers = () =>
    childrenOf(wrapper.program.pid).filter((pid) => commandOf(pid) === "haproxy");
  // The last signal may have come after the last config was read: what it asks for is over when this is.
  assertStrictEquals((await ask("reload", wrapper.control)).code, 0);
  await wrapper.drained();
  assertEquals(servers(), [(await wrapper.serving()).pid]);
  assertNotMatch(wrapper.program.stderr, / (warn|error) /);
  assertEquals((await load.stop()).failures, []);
  assertStrictEquals(await get(target), "last");
});

Deno.test("--drain ends an old generation whose request hangs", async () => {
  const target = newTarget();
  using backend = new SlowBackend();
  await using binder = await startBinder();
  await using wrapper = await startWrapper(site(tag(target), "ok", backend.options), {
    sock: binder.sock,
    args: ["--drain", "300ms"],
  });
  using slow = await HttpConnection.open(target);
  await slow.send("/slow");
  using _request = await backend.request();
  await wrapper.reload();
  await wrapper.drained(1);
  await assertRejects(() => slow.receive());
  assertStrictEquals(await get(target), "ok");
});

Deno.test("--max-generations ends the oldest of those that drain, and no other", async () => {
  const target = newTarget();
  using backend = new SlowBackend();
  await using binder = await startBinder();
  await using wrapper = await startWrapper(site(tag(target), "ok", backend.options), {
    sock: binder.sock,
    args: ["--max-generations", "1"],
  });
  using first = await HttpConnection.open(target);
  await first.send("/slow");
  using _request = await backend.request();
  const oldest = (await wrapper.serving()).pid;
  await wrapper.reload();
  // Until then the oldest may take a connection from the queue that they share.
  await until(() => listeningSockets(oldest).length === 0);
  using second = await HttpConnection.open(target);
  await second.send("/slow");
  using request = await backend.request();
  await wrapper.reload();
  await wrapper.drained(1);
  const cut = ` warn connections are cut by a hard stop pid=${oldest} connections=1`;
  await wrapper.program.waitFor(new RegExp(cut));
  await assertRejects(() => first.receive());
  await request.answer("slow");
  assertStrictEquals(bodyOf(await second.receive()), "slow");
  await wrapper.drained(2);
});

Deno.test("a reload binds new ports; a binder goes on holding those no longer named", async () => {
  const hostname = loopbackHost();
  const bind = (port: number) => tag({ hostname, port });
  await using binder = await startBinder();
  await using wrapper = await startWrapper(site([bind(61080), bind(61081)], "old"), {
    sock: binder.sock,
  });
  wrapper.template = site([bind(61082), bind(61080)], "new");
  await wrapper.reload();
  await wrapper.drained(1);
  for (const port of [61080, 61082]) assertStrictEquals(await get({ hostname, port }), "new");
  const held = tcpListeners(binder.program.pid);
  assertStrictEquals(held.length, 3);
  const served = tcpListeners((await wrapper.serving()).pid);
  assertStrictEquals(served.length, 2);
  const kept = () => socketInodes(wrapper.program.pid).filter((inode) => held.includes(inode));
  // For a moment it has copies of what the old generation was lent.
  await until(() => kept().length <= served.length);
  assertEquals(
    kept(),
    served.toSorted((a, b) => a - b),
    "the wrapper keeps those of the generation that serves",
  );
});

Deno.test({
  name: "without a binder the wrapper closes a port that is no longer named",
  ignore: ignoreUnlessNoBinder,
  async fn() {
    const hostname = loopbackHost();
    const bind = (port: number) => tag({ hostname, port });
    await using wrapper = await startWrapper(site([bind(61080), bind(61081)], "old"));
    const inodes = () => tcpListeners(wrapper.program.pid);
    const before = inodes();
    assertStrictEquals(before.length, 2);
    wrapper.template = site([bind(61080), bind(61082)], "new");
    await wrapper.reload();
    await wrapper.drained(1);
    // For a moment it has a copy of what the old generation was lent.
    await until(() => inodes().length === 2);
    assertStrictEquals(
      inodes().filter((inode) => before.includes(inode)).length,
      1,
      "the same socket",
    );
    for (const port of [61080, 61082]) assertStrictEquals(await get({ hostname, port }), "new");
    await assertRejects(() => get({ hostname, port: 61081 }), Deno.errors.ConnectionRefused);
    // A config that fails leaves nothing bound.
    wrapper.template = site([61080, 61082, 61081].map(bind), "x", { frontend: ["nonsense"] });
    assertStrictEquals((await wrapper.reload()).ok, false);
    assertStrictEquals(inodes().length, 2);
  },
});
