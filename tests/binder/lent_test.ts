/** A binder that finds its address taken by a server that was lent it, when nobody hands it back. */

import {
  assert,
  assertEquals,
  assertMatch,
  assertObjectMatch,
  assertStrictEquals,
} from "@std/assert";
import "../support/libc.ts";
import { multibinder, startBinder } from "../support/binder.ts";
import { deadMark, startGeneration } from "../support/generation.ts";
import { site, startWrapper, tag } from "../support/haproxy.ts";
import { addressOf, get, Load, newTarget, type Target } from "../support/http_client.ts";
import { tcpListeners } from "../support/process.ts";
import { until } from "../support/process_status.ts";
import { runProgram } from "../support/program.ts";
import { openFolder, tempDir } from "../support/temp_dir.ts";
import { ignoreUnless, UNPRIVILEGED } from "../support/users.ts";

const ignore = ignoreUnless(Deno.uid() === 0, "to be several users needs root");

/** What lets another user ask for sockets, and hand them back. */
const GUESTS = ["--mode", "0666", "--allow-uid", "65534"];
const ADOPTERS = ["--mode", "0666", "--adopt-uid", "65534"];

/** A HAProxy that runs on when both its binder and its wrapper were killed. */
class Remains implements AsyncDisposable {
  readonly #resources = new AsyncDisposableStack();
  readonly target = newTarget();
  readonly folder = this.#resources.use(openFolder());
  sockets: number[] = [];

  /** @param through the wrapper's user @param args the binder's options */
  static async leave(through: readonly string[], args: readonly string[]): Promise<Remains> {
    const it = new Remains();
    await using binder = await startBinder([addressOf(it.target)], { args });
    const own = ["--render-dir", it.folder.path, "--control", it.folder.file("control")];
    const options = { sock: binder.sock, through, args: own };
    const { program } = it.#resources.use(
      await startWrapper(site(tag(it.target), "lent"), options),
    );
    it.sockets = tcpListeners(binder.program.pid);
    // The wrapper first: it would hand back what it holds.
    for (const one of [program, binder.program]) {
      await one.end("SIGKILL");
    }
    return it;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

/** What a binder says that cannot have its address. */
async function failure(target: Target, args: readonly string[] = []): Promise<string> {
  using folder = tempDir();
  const words = ["bind", "--sock", folder.file("control.sock"), ...args, addressOf(target)];
  const { code, stderr } = await runProgram([multibinder(), ...words]);
  assertStrictEquals(code, 1, stderr);
  return stderr;
}

for (
  const [who, through, args] of [
    ["root", [], []],
    ["a user who may hand back", UNPRIVILEGED, ADOPTERS],
  ] as const
) {
  Deno.test({
    name: `with binder and wrapper killed, a binder has its socket back from HAProxy of ${who}`,
    ignore,
    async fn() {
      await using remains = await Remains.leave(through, args);
      const { target, sockets } = remains;
      await using load = new Load(target, { workers: 2 });
      await using next = await startBinder([`${addressOf(target)},backlog=1200`], { args });
      assertEquals(tcpListeners(next.program.pid), sockets);
      const { sockets: [regained] } = await next.waitFor(() => true);
      assertObjectMatch(regained ?? {}, { backlog: 1200, queue: { limit: 1200 } });
      assertStrictEquals(await get(target), "lent");
      // It is lent like any other.
      await using _wrapper = await startWrapper(site(tag(target), "next"), { sock: next.sock });
      await until(async () => await get(target) === "next");
      assertEquals((await load.stop()).failures, []);
    },
  });
}

Deno.test({
  name: "nothing is taken from whom nobody trusts, and the log says what helps",
  ignore,
  async fn() {
    await using remains = await Remains.leave(UNPRIVILEGED, GUESTS);
    const { target } = remains;
    const said = await failure(target, GUESTS);
    assertMatch(said, /is in use by haproxy \(pid \d+\) \(EADDRINUSE\); .*adopt-uid.*--take auto/);
    assertStrictEquals(await get(target), "lent");
  },
});

Deno.test({
  name: "a stranger's process with forged marks gives nothing, whoever may hand back",
  ignore,
  async fn() {
    const target = newTarget();
    // Its socket has that very address, and the number that a generation's would have, but is of its own making.
    const script = `import socket, time
s = socket.create_server(("${target.hostname}", ${target.port}))
s.listen(5)
time.sleep(1000)`;
    const [setpriv = "", ...options] = UNPRIVILEGED;
    const words = [...options, "env", "PATH=/usr/bin", "python3", "-c", script];
    const service = "/etc/site.cfg.eta";
    await using stranger = startGeneration(service, await deadMark(), [setpriv, ...words]);
    await until(() => tcpListeners(stranger.pid).length === 1);
    const said = await Promise.all([[], ADOPTERS].map((args) => failure(target, args)));
    for (const one of said) assertMatch(one, /in use by python3 \(pid \d+\)/);
  },
});

Deno.test({
  name: "what another binder holds is left to it, though a server of this user's was lent it",
  ignore,
  async fn() {
    const target = newTarget();
    await using binder = await startBinder([addressOf(target)]);
    await using _wrapper = await startWrapper(site(tag(target), "first"), { sock: binder.sock });
    assertMatch(await failure(target), /in use by \S+ \(pid \d+\) \(EADDRINUSE\)/);
    assert(tcpListeners(binder.program.pid).length === 1);
  },
});
