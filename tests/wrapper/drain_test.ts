/** What a generation that drains costs the others: nothing. */

import { assert, assertStrictEquals } from "@std/assert";
import { type Binder, startBinder } from "../support/binder.ts";
import { debianProgram } from "../support/debian_program.ts";
import { site, startWrapper, tag } from "../support/haproxy.ts";
import { bodyOf, HttpConnection, newTarget, type Target } from "../support/http_client.ts";
import { openFds, polledInodes, processorTime, socketInodes } from "../support/process.ts";
import { until } from "../support/process_status.ts";
import { startProgram } from "../support/program.ts";
import { SlowBackend, type SlowRequest } from "../support/slow_backend.ts";
import { tempDir } from "../support/temp_dir.ts";
import { ignoreUnless } from "../support/users.ts";

/** For how long processor time is measured, in seconds. */
const MEASURED = 3;
/** What a generation that drains may use of a core. */
const ALLOWED = 0.02;

/** Debian's releases: 2.6, and the newest that there is. */
const RELEASES = ["bookworm", "sid"];

/** A request that keeps a generation from ending. */
class Held implements AsyncDisposable {
  private constructor(
    readonly backend: SlowBackend,
    readonly client: HttpConnection,
    readonly request: SlowRequest,
  ) {}

  static async open(backend: SlowBackend, target: Target): Promise<Held> {
    const client = await HttpConnection.open(target);
    await client.send("/slow");
    return new Held(backend, client, await backend.request());
  }

  /** Lets the request end as it would have without a reload. */
  async [Symbol.asyncDispose](): Promise<void> {
    using _ = this.client;
    using request = this.request;
    await request.answer("slow");
    assertStrictEquals(bodyOf(await this.client.receive()), "slow");
  }
}

/** New connections at full speed until the end of the scope. */
function load({ hostname, port }: Target): AsyncDisposable {
  return startProgram([
    "wrk",
    ...["--threads", "1", "--connections", "10", "--duration", "60s"],
    ...["--header", "Connection: close", `http://${hostname}:${port}/`],
  ]);
}

/** The share of a core that each process uses from now on. */
async function shares(pids: readonly number[]): Promise<number[]> {
  const before = pids.map(processorTime);
  const start = performance.now();
  await new Promise((resolve) => setTimeout(resolve, MEASURED * 1000));
  const seconds = (performance.now() - start) / 1000;
  return pids.map((pid, index) => (processorTime(pid) - (before[index] ?? 0)) / seconds);
}

/** Waits until a process neither holds nor polls any of these sockets. */
async function hasLeft(pid: number, inodes: readonly number[]): Promise<void> {
  const holds = (held: Iterable<number>) => inodes.some((inode) => new Set(held).has(inode));
  await until(() => !holds(socketInodes(pid)) && !holds(polledInodes(pid)));
}

/** The inodes of the sockets that a server was lent, as its first descriptors. */
function lentTo(pid: number, count = 1): number[] {
  const fds = openFds(pid);
  const inodes = Array.from({ length: count }, (_, index) => {
    return Number(/\d+/.exec(fds.get(3 + index) ?? "")?.[0]);
  });
  const polled = polledInodes(pid);
  assert(inodes.every((inode) => polled.has(inode)), "it polls them as long as it serves");
  return inodes;
}

for (const release of RELEASES) {
  const { env, ignore } = await debianProgram(release, "haproxy");

  /** A site whose server is to drain: a wrapper, and a request that its server has under way. */
  const scene = async (binder: Binder, target: Target, backend: SlowBackend) => {
    await using cleanup = new AsyncDisposableStack();
    const wrapper = cleanup.use(
      await startWrapper(site(tag(target), "ok", backend.options), {
        sock: binder.sock,
        env,
      }),
    );
    const held = cleanup.use(await Held.open(backend, target));
    const resources = cleanup.move();
    return { wrapper, held, [Symbol.asyncDispose]: () => resources.disposeAsync() };
  };

  Deno.test({
    name: `${release}: told by SIGUSR1 alone, a HAProxy that drains burns a core beside the others`,
    ignore,
    async fn() {
      const target = newTarget();
      using backend = new SlowBackend();
      await using binder = await startBinder();
      await using old = await scene(binder, target, backend);
      await using other = await startWrapper(site(tag(target), "ok"), { sock: binder.sock });
      const { pid } = await old.wrapper.serving();
      const [lent] = lentTo((await other.serving()).pid);
      Deno.kill(pid, "SIGUSR1");
      await until(() => !openFds(pid).get(3)?.includes(String(lent)));
      await using _load = load(target);
      const [burnt = 0, useful = 0] = await shares([pid, (await other.serving()).pid]);
      assert(burnt > 0.2 * useful && burnt > ALLOWED, `it used ${burnt} of a core`);
    },
  });

  for (const traffic of ["before", "long after"]) {
    Deno.test({
      name: `${release}: retired by a reload it uses nothing of traffic that begins ${traffic} it`,
      ignore,
      async fn() {
        const target = newTarget();
        using backend = new SlowBackend();
        await using binder = await startBinder();
        await using old = await scene(binder, target, backend);
        await using load1 = traffic === "before" ? load(target) : undefined;
        const { pid } = await old.wrapper.serving();
        const lent = lentTo(pid);
        await old.wrapper.reload();
        await hasLeft(pid, lent);
        await using _load2 = load1 ? undefined : load(target);
        const [burnt = 1, useful = 0] = await shares([pid, (await old.wrapper.serving()).pid]);
        assert(burnt < ALLOWED, `it used ${burnt} of a core, the one that serves ${useful}`);
        assert(useful > 0, "there was no traffic");
      },
    });
  }
}

Deno.test("sockets of every kind are left by the generation that drains", async () => {
  const target = newTarget();
  using folder = tempDir();
  using backend = new SlowBackend();
  await using binder = await startBinder();
  const others = ["unix:" + folder.file("sock"), `abns@${crypto.randomUUID()}`];
  const binds = [tag(target), tag({ ...target, port: 61_081 })];
  const { frontend, rest = [] } = backend.options;
  const template = site(
    [...binds, ...others.map((address) => `<%= bind('${address}') %>`)],
    "ok",
    {
      global: ["nbthread 2"],
      ...frontend && { frontend },
      // A second frontend that accepts from the first one's socket, and datagrams.
      rest: [
        ...rest,
        "frontend another",
        `bind ${tag(target)}`,
        "default_backend slow",
        "log-forward logs",
        `dgram-bind <%= bind('udp:${target.hostname}:61082') %>`,
        "log stderr local0",
      ],
    },
  );
  await using wrapper = await startWrapper(template, { sock: binder.sock });
  await using _held = await Held.open(backend, target);
  const { pid } = await wrapper.serving();
  const lent = lentTo(pid, 6);
  assert(lent.every((inode) => polledInodes(pid).has(inode)));
  await wrapper.reload();
  await hasLeft(pid, lent);
  const { pid: next } = await wrapper.serving();
  assert(lent.every((inode) => polledInodes(next).has(inode)));
});

Deno.test("a server that is stopped beside another one of the same socket leaves that socket", async () => {
  const target = newTarget();
  using backend = new SlowBackend();
  await using binder = await startBinder();
  await using v1 = await startWrapper(site(tag(target), "ok", backend.options), {
    sock: binder.sock,
  });
  await using _held = await Held.open(backend, target);
  await using v2 = await startWrapper(site(tag(target), "ok"), { sock: binder.sock });
  const { pid } = await v1.serving();
  const lent = lentTo((await v2.serving()).pid);
  v1.program.signal("SIGTERM");
  await hasLeft(pid, lent);
});

Deno.test("a server whose wrapper has died leaves its socket once the next wrapper retires it", async () => {
  const target = newTarget();
  using backend = new SlowBackend();
  await using binder = await startBinder();
  const options = { sock: binder.sock };
  await using first = await startWrapper(site(tag(target), "ok", backend.options), options);
  await using _held = await Held.open(backend, target);
  const { pid } = await first.serving();
  const lent = lentTo(pid);
  await first.program.end("SIGKILL");
  await using _next = await startWrapper("", {
    ...options,
    command: ["haproxy", "-f", first.path],
  });
  await hasLeft(pid, lent);
});

Deno.test({
  name: "a server that has become another user leaves its socket, where the wrapper may trace it",
  ignore: ignoreUnless(Deno.uid() === 0, "to become another user needs root"),
  async fn() {
    const target = newTarget();
    using backend = new SlowBackend();
    await using binder = await startBinder();
    const template = site(tag(target), "ok", { ...backend.options, global: ["user nobody"] });
    await using wrapper = await startWrapper(template, { sock: binder.sock });
    await using _held = await Held.open(backend, target);
    const { pid } = await wrapper.serving();
    const lent = lentTo(pid);
    await wrapper.reload();
    await hasLeft(pid, lent);
  },
});
