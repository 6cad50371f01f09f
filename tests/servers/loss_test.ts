/**
 * No server loses a connection: each real one there is, run by its own config on a socket that is named on the
 * command line. MULTIBINDER_RELOADS says how many reloads there are under load, for a nightly run.
 */

import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import "../support/libc.ts";
import { O_NONBLOCK } from "../../ffi/constants.ts";
import type { Fd } from "../../ffi/fd.ts";
import { acceptQueue } from "../../ffi/socket.ts";
import { startBinder } from "../support/binder.ts";
import { debianProgram } from "../support/debian_program.ts";
import { Wrapper } from "../support/haproxy.ts";
import {
  bodyOf,
  get,
  HttpConnection,
  Load,
  newTarget,
  type Target,
} from "../support/http_client.ts";
import { listeningSockets } from "../support/process.ts";
import { childrenOf, commandOf, familyOf, suspend, until } from "../support/process_status.ts";
import { runProgram, startProgram } from "../support/program.ts";
import { CADDY, SERVERS, type Site, type TestServer } from "../support/servers.ts";
import { SlowBackend } from "../support/slow_backend.ts";
import { freePort, tempDir } from "../support/temp_dir.ts";
import { hasProgram, ignoreUnless } from "../support/users.ts";
import { copySocket, WAITING, Waiting } from "../support/waiting.ts";

/** A connection that a server had accepted, and closed unanswered. */
const isDropped = (why: string) => /^ConnectionReset|closed after ""$/.test(why);

const RELOADS = Number(Deno.env.get("MULTIBINDER_RELOADS") ?? 2);

/** A wrapper with a server and its site. */
class Scene implements AsyncDisposable {
  readonly #resources = new AsyncDisposableStack();
  readonly folder = this.#resources.use(tempDir());
  readonly wrapper: Wrapper;

  constructor(
    readonly server: TestServer,
    readonly target: Target,
    readonly backend: SlowBackend,
    sock: string,
    reply: string,
  ) {
    this.reply = reply;
    const listen = `http=${target.hostname}:${target.port}`;
    this.wrapper = this.#resources.use(
      new Wrapper("", {
        sock,
        args: ["--listen", listen, "--settle", server.settle ?? "200ms", ...server.options ?? []],
        command: server.command(this.#site("")),
        cwd: this.folder.path,
      }),
    );
  }

  #site(reply: string): Site {
    const { target: listen, backend: { port: backend }, folder: { path: folder } } = this;
    return { reply, listen, backend, folder };
  }

  /** What the next generation answers. */
  set reply(reply: string) {
    for (const [name, text] of Object.entries(this.server.files(this.#site(reply)))) {
      Deno.writeTextFileSync(this.folder.file(name), text);
    }
  }

  /** Some servers overwrite their environment, and with it the mark by which a test finds its processes. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { program } = this.wrapper;
    const children = program.ended ? [] : childrenOf(program.pid).flatMap(familyOf);
    for (const pid of children) {
      try {
        Deno.kill(pid, "SIGKILL");
      } catch {
        // It has ended.
      }
    }
    await this.#resources.disposeAsync();
  }
}

/** Whether an accept() on a socket waits for a connection, whoever calls it. */
function isBlocking({ number }: Fd): boolean {
  const [, flags = ""] =
    /^flags:\s+([0-7]+)$/m.exec(Deno.readTextFileSync(`/proc/self/fdinfo/${number}`)) ?? [];
  return (parseInt(flags, 8) & O_NONBLOCK) === 0;
}

/** What a nightly run has besides: servers that this Debian does not have. */
async function others(): Promise<TestServer[]> {
  const [haproxy] = SERVERS;
  if (haproxy?.program !== "haproxy") throw new Error("HAProxy is not the first server");
  const from = async (server: TestServer, release: string): Promise<TestServer> => {
    const { program } = await debianProgram(release, server.program);
    const command = (site: Site) => [program, ...server.command(site).slice(1)];
    return { ...server, name: `${server.program} of Debian ${release}`, program, command };
  };
  const debian = [from(haproxy, "trixie"), from(haproxy, "sid"), from(CADDY, "sid")];
  return await Promise.all([...debian, denoServer()]);
}

/** The newest Deno, on the site of Node. */
async function denoServer(): Promise<TestServer> {
  const script = new URL("../../scripts/check/newest_deno.sh", import.meta.url).pathname;
  const { stdout } = await runProgram([script], { env: Deno.env.toObject() });
  const node = SERVERS.find(({ name }) => name === "node");
  if (node === undefined) throw new Error("there is no Node");
  const program = stdout.trim();
  return {
    ...node,
    name: "deno",
    program,
    files: (site) => ({ "server.cjs": Object.values(node.files(site)).join() }),
    command: ({ folder }) => [program, "run", "--allow-all", `${folder}/server.cjs`, "{http}"],
  };
}

for (const server of [...SERVERS, ...RELOADS > 2 ? await others() : []]) {
  Deno.test({
    name: `${server.name}: nothing is lost`,
    ignore: ignoreUnless(hasProgram(server.program), `${server.program} is not installed`),
    async fn(test) {
      const target = newTarget();
      using backend = new SlowBackend();
      await using binder = await startBinder();
      await using v1 = new Scene(server, target, backend, binder.sock, "one");
      const { wrapper } = v1;
      await wrapper.serving();

      await test.step("what waits at a server that hangs is served by the next one", async () => {
        assertStrictEquals(await get(target), "one");
        using socket = await copySocket(binder.sock, target);
        // Of two that are woken for one connection, the later one must not wait in accept().
        assertStrictEquals(isBlocking(socket), server.blocks ?? false);
        const hanging = familyOf((await wrapper.serving()).pid);
        await suspend(...hanging);
        using waiting = new Waiting();
        await waiting.open(target);
        await until(() => acceptQueue(socket).length === WAITING);
        v1.reply = "two";
        const { ok, message } = await wrapper.reload();
        assertEquals({ ok, message }, { ok: true, message: "generation 2 serves" });
        const replies = await waiting.replies();
        assertStrictEquals(replies.get("two"), WAITING);
        hanging.forEach((pid) => Deno.kill(pid, "SIGCONT"));
        await wrapper.drained();
      });

      await test.step(`${RELOADS} reloads under load lose none`, async () => {
        await using load = new Load(target, { workers: 4, pause: 0 });
        for (let count = 0; count < RELOADS; count++) {
          assertStrictEquals((await wrapper.reload()).ok, true);
        }
        await wrapper.drained();
        const { ok, failures } = await load.stop();
        const dropped = failures.filter(isDropped);
        assertEquals(failures.filter((why) => !dropped.includes(why)), []);
        // Each of the load's clients has one connection at a time.
        assert(dropped.length <= (server.dropsAccepted ? 4 * RELOADS : 0), dropped.join("\n"));
        assert(ok > RELOADS, `only ${ok} requests were made`);
      });

      await test.step("v1 stops beside v2, its slow request is answered", async () => {
        using slow = await HttpConnection.open(target);
        await slow.send("/slow", ["Connection: close"]);
        using request = await backend.request();
        await using v2 = new Scene(server, target, backend, binder.sock, "V2");
        await v2.wrapper.serving();
        await using load = new Load(target, { workers: 4, pause: 0 });
        await until(() => load.outcome.replies.has("V2"));
        const { pid } = await wrapper.serving();
        wrapper.program.signal("SIGTERM");
        await wrapper.waitFor(({ generations }) =>
          generations.every(({ state }) => state === "draining")
        );
        await request.answer("slow");
        assertStrictEquals(bodyOf(await slow.receive()), "slow");
        await wrapper.program.exited;
        assertStrictEquals(commandOf(pid), undefined);
        const { failures } = await load.stop();
        const dropped = failures.filter(isDropped);
        assertEquals(failures.filter((why) => !dropped.includes(why)), []);
        if (!server.dropsAccepted) assertEquals(dropped, []);
        assertStrictEquals(await get(target), "V2");
      });
    },
  });
}

Deno.test("without the program, a server's successor on the same address loses what waits", async () => {
  const server = SERVERS.find(({ name }) => name === "python");
  if (server === undefined) throw new Error("there is no such server");
  const target = { hostname: newTarget().hostname, port: freePort() };
  using backend = new SlowBackend();
  using folder = tempDir();
  const path = folder.file("server.py");
  const site = { reply: "one", backend: backend.port, listen: target, folder: folder.path };
  Deno.writeTextFileSync(path, server.files(site)["server.py"] ?? "");
  const argv = ["python3", path, "--port", target.hostname, `${target.port}`] as const;
  await using before = startProgram(argv);
  await until(() => get(target).then((reply) => reply === "one", () => false));
  await suspend(before.pid);
  using waiting = new Waiting();
  await waiting.open(target);
  await using after = startProgram(argv);
  await until(() => listeningSockets(after.pid).length === 1);
  before.signal("SIGKILL");
  assertEquals(await waiting.replies(), new Map([["lost", WAITING]]));
});
