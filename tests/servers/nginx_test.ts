/** nginx by its plain config: listen lines and sockets, the check, the pid file. */

import { assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { multibinder, startBinder } from "../support/binder.ts";
import { textOf } from "../support/files.ts";
import { Wrapper, wrapperCommand } from "../support/haproxy.ts";
import { get, newTarget, type Target } from "../support/http_client.ts";
import { childrenOf, hasEnded, until } from "../support/process_status.ts";
import { runProgram } from "../support/program.ts";
import { ask, type BinderStatus } from "../support/status.ts";
import { SERVERS } from "../support/servers.ts";
import { tempDir } from "../support/temp_dir.ts";
import { hasProgram, ignoreUnless } from "../support/users.ts";

const ignore = ignoreUnless(hasProgram("nginx"), "nginx is not installed");
const nginx = SERVERS.find(({ name }) => name === "nginx");

/** A folder with a config, and a wrapper that runs nginx on it. */
class Scene implements AsyncDisposable {
  readonly #resources = new AsyncDisposableStack();
  readonly target: Target = newTarget();
  readonly folder = this.#resources.use(tempDir());
  readonly command = ["nginx", "-c", this.folder.file("nginx.conf")];
  readonly listen = ["--listen", `http=${this.target.hostname}:${this.target.port}`];

  constructor(readonly sock: string) {
    this.configure("one");
  }

  /** @param change changes the text of the config */
  configure(reply: string, change = (text: string) => text): void {
    const { path: folder } = this.folder;
    const site = { reply, backend: 1, listen: this.target, folder };
    for (const [name, text] of Object.entries(nginx?.files(site) ?? {})) {
      Deno.writeTextFileSync(this.folder.file(name), change(text));
    }
  }

  /** @param through what runs it */
  start(through: readonly string[] = []): Wrapper {
    const { sock, listen: args, command } = this;
    const wrapper = new Wrapper("", { sock, args, command, through });
    this.#resources.defer(async () => {
      // It has overwritten the mark by which a test finds it.
      for (const pid of wrapper.program.ended ? [] : childrenOf(wrapper.program.pid)) {
        for (const one of [pid, ...childrenOf(pid)]) Deno.kill(one, "SIGKILL");
      }
      await wrapper[Symbol.asyncDispose]();
    });
    return wrapper;
  }

  /** Runs it to its end. */
  async run(args: string[], command = this.command): Promise<{ code: number; stderr: string }> {
    return await runProgram(wrapperCommand("exec", { sock: this.sock, args, command }));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#resources.disposeAsync();
  }
}

Deno.test({
  name: "nginx: a config that it refuses is not tried, and its pid file is that of who serves",
  ignore,
  async fn() {
    await using binder = await startBinder();
    await using scene = new Scene(binder.sock);
    const wrapper = scene.start();
    const first = await wrapper.serving();
    const pidFile = () => textOf(scene.folder.file("nginx.pid"));
    await until(() => pidFile() === `${first.pid}\n`);

    const refused: [change: (text: string) => string, why: RegExp][] = [
      [
        (text) => text.replace("listen ", "listn "),
        /unknown directive "listn" in .*nginx\.conf:\d/,
      ],
      [
        (text) => text.replace("server {", "server {\n listen 61099;"),
        /nginx\.conf:\d+: listen 61099: no --listen has this address/,
      ],
      [(text) => text.replace(/(listen .*);/, "$1 reuseport;"), /with reuseport each worker binds/],
    ];
    for (const [change, why] of refused) {
      scene.configure("two", change);
      const { ok, message } = await wrapper.reload();
      assertMatch(message, why);
      assertStrictEquals(ok, false);
      assertStrictEquals(await get(scene.target), "one");
    }

    // The program that succeeds the wrapper must know of the pid file as well.
    assertStrictEquals((await ask("upgrade", wrapper.control)).code, 0);
    scene.configure("two");
    assertStrictEquals((await wrapper.reload()).ok, true);
    await wrapper.drained();
    const { pid } = await wrapper.serving();
    assertStrictEquals(await get(scene.target), "two");
    // The old nginx has removed the file at its end, and it must come back.
    await until(() => pidFile() === `${pid}\n`);
    assertEquals((await wrapper.program.end("SIGTERM")).code, 0);
  },
});

Deno.test({
  name:
    "nginx: ls numbers its generations, whose environment is overwritten, and doctor looks at it",
  ignore: ignore || ignoreUnless(Deno.uid() === 0, "to see who serves needs root"),
  async fn() {
    await using binder = await startBinder();
    await using scene = new Scene(binder.sock);
    const wrapper = scene.start();
    await wrapper.serving();
    assertStrictEquals((await wrapper.reload()).ok, true);
    await wrapper.drained();
    const { pid } = await wrapper.serving();
    const known = ({ wrappers }: BinderStatus) =>
      wrappers.some(({ generations = [] }) =>
        generations.length === 1 && generations[0]?.state === "serving" &&
        generations[0].number === 2
      );
    await binder.waitFor(known);
    const ls = await runProgram([multibinder(), "ls", "--sock", binder.sock, "--json"]);
    const servedBy: { pid: number; command: string; generation: number | null }[] =
      JSON.parse(ls.stdout)[0].servedBy;
    assertEquals(servedBy.map((one) => one.pid).sort(), [pid, ...childrenOf(pid)].sort());
    for (const { command, generation } of servedBy) {
      assertEquals([command, generation], ["nginx", 2]);
    }

    const doctor = async () => {
      const words = [multibinder(), "doctor", "--sock", wrapper.control, "--json"] as const;
      const found: { check: string; level: string }[] = JSON.parse(
        (await runProgram([...words])).stdout,
      );
      return new Map(found.map(({ check, level }) => [check, level]));
    };
    const first = await doctor();
    assertEquals(["server_version", "worker_shutdown_timeout"].map((one) => first.get(one)), [
      "ok",
      "warning",
    ]);
    scene.configure("two", (text) => `worker_shutdown_timeout 10m;\n${text}`);
    assertStrictEquals((await doctor()).get("worker_shutdown_timeout"), "ok");
  },
});

Deno.test({
  name: "nginx: one whose wrapper was killed goes on, and is replaced by the next one's",
  ignore,
  async fn() {
    await using binder = await startBinder();
    await using scene = new Scene(binder.sock);
    const killed = scene.start();
    const { pid } = await killed.serving();
    killed.program.signal("SIGKILL");
    await until(() => hasEnded(killed.program.pid));
    assertStrictEquals(await get(scene.target), "one");
    scene.configure("two");
    const next = scene.start();
    await next.serving();
    await until(() => hasEnded(pid));
    assertStrictEquals(await get(scene.target), "two");
    await next.waitFor(({ generations }) => generations.length === 1);
  },
});

Deno.test({
  name: "nginx: where its workers may not be looked at, as in a container, it is up all the same",
  ignore,
  async fn() {
    await using binder = await startBinder();
    await using scene = new Scene(binder.sock);
    const drop = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"];
    const wrapper = scene.start(drop);
    await wrapper.serving();
    scene.configure("two");
    assertStrictEquals((await wrapper.reload()).ok, true);
    await wrapper.drained();
    assertStrictEquals(await get(scene.target), "two");
  },
});

Deno.test({
  name: "nginx: a socket without a line is said, and -s is refused",
  ignore,
  async fn() {
    await using binder = await startBinder();
    await using scene = new Scene(binder.sock);
    scene.listen.push("--listen", `spare=${scene.target.hostname}:61081`);
    const wrapper = scene.start();
    await wrapper.program.waitFor(
      / warn no listen line has the address of a socket: .* name=spare /,
    );
    await wrapper.serving();
    const signalled = await scene.run(scene.listen, ["nginx", "-s", "reload"]);
    assertMatch(signalled.stderr, /nginx -s signals a running nginx/);
    assertStrictEquals(signalled.code, 2);
    const checked = await scene.run(scene.listen, [...scene.command, "-t"]);
    assertMatch(checked.stderr, /test is successful/);
    assertStrictEquals(checked.code, 0);
  },
});
