/** Upgrades in place, of a binder and of a wrapper: to another version and back, under load, and failed. */

import { assert, assertEquals, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import { multibinder, startBinder } from "../support/binder.ts";
import { ControlConnection, settle, startPython } from "../support/control_client.ts";
import { hasStopped, site, startWrapper, tag } from "../support/haproxy.ts";
import { bodyOf, get, HttpConnection, Load, newTarget } from "../support/http_client.ts";
import { listeningSockets, openFds, tcpListeners } from "../support/process.ts";
import { processStatus, until } from "../support/process_status.ts";
import { buildChanged, type BuiltProgram, ProgramFile } from "../support/program_file.ts";
import { SlowBackend } from "../support/slow_backend.ts";
import { ask, binderStatus, wrapperStatus } from "../support/status.ts";
import { loopbackHost, tempDir } from "../support/temp_dir.ts";
import { ignoreUnless } from "../support/users.ts";
import { VERSION } from "../../src/version.ts";

let next: BuiltProgram | undefined;
globalThis.addEventListener("unload", () => next?.[Symbol.dispose]());

/** Another version of the program, which understands the same state; built once. */
async function buildNext(): Promise<BuiltProgram> {
  return next ??= await buildChanged({ "src/version.ts": [/".*"/, '"99.0.0"'] });
}

/** Upgrades to that version and back. */
function journey(next: BuiltProgram): { program: string; from: string; to: string }[] {
  return [
    { program: next.path, from: VERSION, to: "99.0.0" },
    { program: multibinder(), from: "99.0.0", to: VERSION },
  ];
}

/** Sends the first half of a request. @returns what sends the rest and expects the answer */
async function halfRequest(sock: string): Promise<Disposable & { finish(): Promise<void> }> {
  const connection = await ControlConnection.open(sock);
  const request = '{"jsonrpc":"2.0","id":"hälf","method":"status"}';
  await connection.send(request.slice(0, 25));
  return {
    finish: async () => {
      await connection.send(request.slice(25));
      assertStrictEquals((await connection.receive())?.id, "hälf");
    },
    [Symbol.dispose]: () => connection[Symbol.dispose](),
  };
}

Deno.test("a binder becomes another version and comes back, and keeps all that it has", async () => {
  const address = loopbackHost();
  const next = await buildNext();
  using file = new ProgramFile();
  await using binder = await startBinder([`${address}:80`, `${address}:81`], {
    program: file.path,
  });
  const { sock, program: { pid } } = binder;
  await using wrapper = await startWrapper(site(tag({ hostname: address, port: 80 }), "ok"), {
    sock,
  });
  using kept = await ControlConnection.open(sock);
  let before = await binderStatus(sock);
  const kernel = () => ({ sockets: listeningSockets(pid), file: Deno.statSync(sock).ino });
  const held = kernel();
  assertStrictEquals(held.sockets.length, 3);
  for (const [index, { program, from, to }] of journey(next).entries()) {
    using half = await halfRequest(sock);
    file.replace(program);
    const { code, stdout } = await ask("upgrade", sock);
    assertEquals([code, stdout], [0, `upgraded from ${from} to ${to}\n`]);
    await half.finish();

    const after = await binderStatus(sock);
    assertEquals(kernel(), held);
    assertEquals([after.pid, after.version, after.upgrades], [pid, to, index + 1]);
    assertStrictEquals(after.lastUpgrade?.ok, true);
    assert(after.connections > before.connections && after.requests > before.requests);
    assert(after.uptimeSeconds >= before.uptimeSeconds);
    assertEquals(after.sockets.map(({ holders }) => holders), [[wrapper.program.pid], []]);
    assertStrictEquals((await kept.bind({ address, port: 81 }))?.result, true);
    before = after;
  }
});

Deno.test("a wrapper does, under load, with a request in flight in each generation", async () => {
  const target = { hostname: loopbackHost(), port: 80 };
  using backend = new SlowBackend();
  const next = await buildNext();
  using file = new ProgramFile();
  await using binder = await startBinder();
  const template = (reply: string) => site(tag(target), reply, backend.options);
  await using wrapper = await startWrapper(template("first"), {
    sock: binder.sock,
    program: file.path,
  });
  const { control, program: { pid } } = wrapper;
  await using load = new Load(target, { workers: 2 });
  using drains = await HttpConnection.open(target);
  await drains.send("/slow");
  using drainsRequest = await backend.request();
  const { pid: old } = await wrapper.serving();
  await wrapper.reload();
  await hasStopped(old);
  using serves = await HttpConnection.open(target);
  await serves.send("/slow");
  using servesRequest = await backend.request();

  const before = await wrapperStatus(control);
  assertEquals(before.generations.map(({ state }) => state), ["draining", "serving"]);
  const kernel = () => ({ sockets: listeningSockets(pid), file: Deno.statSync(control).ino });
  const held = kernel();
  assertStrictEquals(held.sockets.length, 2);
  for (const [index, { program, from, to }] of journey(next).entries()) {
    using half = await halfRequest(control);
    file.replace(program);
    const { code, stdout } = await ask("upgrade", control);
    assertEquals([code, stdout], [0, `upgraded from ${from} to ${to}\n`]);
    await half.finish();

    const after = await wrapperStatus(control);
    assertEquals(kernel(), held);
    assertEquals([after.pid, after.version, after.upgrades], [pid, to, index + 1]);
    // Without the number of connections, which is missing where counting them takes too long.
    const [now, then] = [after, before].map(({ generations }) =>
      generations.map(({ number, pid, state }) => ({ number, pid, state }))
    );
    assertEquals(now, then);
    assertEquals(after.lastReload, before.lastReload);
    // It tells the binder again what it holds.
    await until(async () => (await binderStatus(binder.sock)).sockets[0]?.holders[0] === pid);
  }

  await drainsRequest.answer("slow");
  assertStrictEquals(bodyOf(await drains.receive()), "slow");
  await wrapper.drained(1);
  wrapper.template = template("second");
  assertStrictEquals((await ask("reload", control)).stdout, "generation 3 serves\n");
  await until(async () => await get(target) === "second");
  await servesRequest.answer("slow");
  assertStrictEquals(bodyOf(await serves.receive()), "slow");
  assertEquals((await load.stop()).failures, []);
  assertStrictEquals((await wrapper.program.end("SIGTERM")).code, 0);
  assertThrows(() => Deno.lstatSync(control), Deno.errors.NotFound);
});

Deno.test("what cannot succeed it leaves each role serving, and the reason is told", async () => {
  const target = { hostname: loopbackHost(), port: 80 };
  using older = await buildChanged({
    "src/version.ts": [/".*"/, '"0.0.1"'],
    "src/binder/state.ts": [/STATE_VERSION = \d+/, "STATE_VERSION = 0"],
    "src/wrapper/state.ts": [/STATE_VERSION = \d+/, "STATE_VERSION = 0"],
  });
  using file = new ProgramFile();
  await using binder = await startBinder([], { program: file.path });
  await using wrapper = await startWrapper(site(tag(target), "ok"), {
    sock: binder.sock,
    program: file.path,
  });
  const serving = await wrapper.serving();
  const size = Deno.statSync(file.path).size;
  const truncate = (length: number) => {
    file.replace(multibinder());
    Deno.truncateSync(file.path, length);
  };
  const replacements: [string, () => void, RegExp][] = [
    ["nothing at all", () => file.remove(), /cannot be run: .*ENOENT/],
    ["an empty file", () => truncate(0), /cannot be run: .*ENOEXEC/],
    ["a truncated ELF image", () => truncate(1_000_000), /failed its self-check/],
    ["a binary without its payload", () => truncate(size - 1000), /failed its self-check/],
    ["another program", () => file.replace("/bin/true"), /failed its self-check \(exit code 0\)/],
    ["one that crashes", () => file.replaceByScript("kill -SEGV $$"), /self-check \(signal 11\)/],
    [
      "a script that fails",
      () => file.replaceByScript("echo wrong libc >&2\nexit 3"),
      /self-check \(exit code 3\): wrong libc/,
    ],
    ["a file that may not be run", () => Deno.chmodSync(file.path, 0o644), /EACCES/],
    [
      "one that knows an older format alone",
      () => file.replace(older.path),
      /self-check \(exit code 1\): .*format \d+, and this program knows up to 0/,
    ],
    [
      "a folder",
      () => {
        file.remove();
        Deno.mkdirSync(file.path);
      },
      /cannot be run: .*EACCES/,
    ],
  ];
  await using load = new Load(target, { workers: 1 });
  for (const [what, replace, reason] of replacements) {
    replace();
    for (const sock of [binder.sock, wrapper.control]) {
      const { code, stderr } = await ask("upgrade", sock);
      assertStrictEquals(code, 1, what);
      assertMatch(stderr, new RegExp(`upgrade failed, ${VERSION} goes on: `), what);
      assertMatch(stderr, reason, what);
      const { lastUpgrade, upgrades, version } = await binderStatus(sock);
      assertEquals([lastUpgrade?.ok, upgrades, version], [false, 0, VERSION], what);
      assertMatch(lastUpgrade?.message ?? "", reason, what);
    }
  }
  assertEquals(await wrapper.serving(), serving);
  file.remove();
  file.replace(multibinder());
  for (const sock of [binder.sock, wrapper.control]) {
    assertStrictEquals((await ask("upgrade", sock)).code, 0);
    assertStrictEquals((await binderStatus(sock)).lastUpgrade?.ok, true);
  }
  assertStrictEquals((await wrapper.reload()).ok, true);
  assertEquals((await load.stop()).failures, []);
});

/** How many upgrades follow each other: as many as MULTIBINDER_UPGRADES says, else a few. */
const UPGRADES = Number(Deno.env.get("MULTIBINDER_UPGRADES") || 10);
/** After so many upgrades the process is as large as it gets. */
const WARM_UP = 5;

Deno.test(`${UPGRADES} upgrades under binds at full speed: none fails, nothing grows`, async () => {
  const address = loopbackHost();
  await using binder = await startBinder([`${address}:80`]);
  const { program: { pid }, sock } = binder;
  const [held] = tcpListeners(pid);
  await using load = await startPython(
    "load",
    sock,
    JSON.stringify([{ address, port: 80 }]) + "\n",
  );
  await load.waitFor(/started/);
  const upgradeTo = async (count: number) => {
    for (let done = (await binderStatus(sock)).upgrades; done < count;) {
      binder.program.signal("SIGUSR1");
      await binder.waitFor(({ upgrades }) => upgrades > done);
      done++;
    }
  };
  const megabytes = () => Number.parseInt(processStatus(pid, "RssAnon") ?? "") / 1024;
  const descriptors = () => openFds(pid).size;

  await upgradeTo(WARM_UP);
  const early = { fds: descriptors(), memory: megabytes() };
  await upgradeTo(UPGRADES);
  const late = { fds: descriptors(), memory: megabytes() };
  await load.closeInput();
  assertStrictEquals((await load.exited).code, 0, load.stderr);
  const { counts, failures, inodes } = JSON.parse(load.stdout.trim().split("\n").at(-1) ?? "");
  print(
    `${UPGRADES} upgrades, ${counts.new} binds on new connections and ${counts.kept} on one; ` +
      `after ${WARM_UP} and all: ${early.fds} and ${late.fds} fds, ${
        early.memory.toFixed(1)
      } and ` +
      `${late.memory.toFixed(1)} MB\n`,
  );
  assertEquals(failures, []);
  assertEquals(inodes, [held]);
  // Connections in flight are among the descriptors.
  assert(late.fds <= early.fds + 4, "descriptors");
  assert(late.memory <= early.memory + 10, "memory");
  await settle(sock, () => descriptors() <= early.fds);
});

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}

Deno.test({
  name: "the binder's user is who it was at the start, whoever knows that name by now",
  ignore: ignoreUnless(Deno.uid() === 0, "to replace /etc/passwd needs root"),
  async fn() {
    using folder = tempDir();
    const passwd = folder.file("passwd");
    const users = Deno.readTextFileSync("/etc/passwd");
    Deno.writeTextFileSync(passwd, `${users}\nghost:x:4242:4242::/:/bin/false\n`);
    const mount = `mount --bind ${passwd} /etc/passwd && exec "$0" "$@"`;
    await using binder = await startBinder();
    await using wrapper = await startWrapper(site(tag(newTarget()), "ok"), {
      sock: binder.sock,
      args: ["--binder-uid", "ghost"],
      through: ["unshare", "--mount", "sh", "-c", mount],
    });
    Deno.writeTextFileSync(passwd, users);
    for (const count of [1, 2]) {
      assertStrictEquals((await ask("upgrade", wrapper.control)).code, 0);
      assertStrictEquals((await wrapper.serving()).generation, 1);
      assertStrictEquals((await wrapperStatus(wrapper.control)).upgrades, count);
    }
  },
});
