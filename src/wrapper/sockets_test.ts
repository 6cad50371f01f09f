import {
  assert,
  assertEquals,
  assertNotStrictEquals,
  assertObjectMatch,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { leavesNoDescriptors, openCopies, openFile } from "../../tests/support/descriptors.ts";
import { silentLog, startLocalBinder } from "../../tests/support/local_binder.ts";
import { settled } from "../../tests/support/poller.ts";
import { loopbackHost, type TempDir, tempDir } from "../../tests/support/temp_dir.ts";
import type { Fd } from "../../ffi/fd.ts";
import { Poller } from "../../ffi/poll.ts";
import { NoBinderError, RefusedError } from "../control/client_errors.ts";
import { BindError } from "../sockets/bind_error.ts";
import { optionsOf } from "../sockets/kernel_options.ts";
import { listeningAddress } from "../sockets/listen.ts";
import { createLog, type Log } from "../log.ts";
import type { BindParam } from "../control/messages.ts";
import { chooseSockets } from "./choose_sockets.ts";
import type { Sockets, SocketsOptions } from "./sockets.ts";

/** Milliseconds that no test needs: it would fail. */
const LONG = 20_000;
const poller = new Poller();

function options(some: Partial<SocketsOptions> = {}): SocketsOptions {
  return { sock: undefined, wait: LONG, longLived: true, ...some };
}

/** Sockets of this process, since there is no binder. */
function ownSockets(folder: TempDir, log: Log = silentLog): Sockets {
  return chooseSockets(options(), poller, log, folder.file("no binder"));
}

/** Sockets of the binder at a path. */
function binderSockets(sock: string, wait = LONG, log: Log = silentLog): Sockets {
  return chooseSockets(options({ sock, wait }), poller, log);
}

/** Closes them, and lets the poller's call on another thread return. */
async function close(sockets: Sockets): Promise<void> {
  sockets.close();
  await settled(poller);
}

/** A log with a line that can be awaited. */
function watchedLog(pattern: RegExp): { log: Log; line: Promise<void>; lines: string[] } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const lines: string[] = [];
  const write = (line: string) => {
    lines.push(line);
    if (pattern.test(line)) resolve();
  };
  return { log: createLog({ format: "text", level: "info" }, write), line: promise, lines };
}

/** Addresses that nobody else has. */
function params(count: number): BindParam[] {
  const address = loopbackHost();
  return Array.from({ length: count }, (_, index) => ({ address, port: 8000 + index }));
}

/** Whether nobody listens on an address. */
function isFree({ address, port = 0 }: BindParam): boolean {
  try {
    Deno.listen({ hostname: address, port }).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return false;
    throw error;
  }
}

/** Whether clients reach a socket: its accept queue takes them. */
async function isReachable({ address, port = 0 }: BindParam): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: address, port })).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return false;
    throw error;
  }
}

const files = (fds: readonly Fd[]): string[] => fds.map(openFile);

/** Tests what both kinds have in common. A binder in this process has a copy of each socket, too. */
async function eachKind(test: (sockets: Sockets, binders: 0 | 1) => Promise<void>): Promise<void> {
  await leavesNoDescriptors(async () => {
    using folder = tempDir();
    await test(ownSockets(folder), 0);
  });
  await leavesNoDescriptors(async () => {
    using folder = tempDir();
    await using _binder = await startLocalBinder(folder.file("sock"));
    await test(binderSockets(folder.file("sock")), 1);
  });
}

Deno.test("sockets come in the order asked for, listen, and stay with this process", async () => {
  await eachKind(async (sockets) => {
    const wanted = params(3);
    const fds = await sockets.prepare(wanted);
    assertStrictEquals(new Set(files(fds)).size, 3);
    assert(fds.every((fd) => fd.closeOnExec));
    sockets.commit();
    const again = await sockets.prepare([...wanted].reverse());
    assertEquals(files(again), files(fds).reverse());
    for (const param of wanted) assert(await isReachable(param));
    await close(sockets);
  });
});

Deno.test("the same socket goes from config to config", async () => {
  await eachKind(async (sockets) => {
    const [a, b, c] = params(3);
    assert(a && b && c);
    const first = files(await sockets.prepare([a, b]));
    sockets.commit();
    const second = files(await sockets.prepare([c, b]));
    sockets.commit();
    assertStrictEquals(second[1], first[1]);
    const third = files(await sockets.prepare([b, c]));
    sockets.rollback();
    assertEquals(third, [second[1], second[0]]);
    await close(sockets);
  });
});

Deno.test("options of a held address that it cannot take refuse the config; those that it can are set", async () => {
  await eachKind(async (sockets) => {
    const [a] = params(1);
    assert(a);
    const [first] = await sockets.prepare([a]);
    assert(first);
    sockets.commit();
    const live = [{ ...a, options: { mss: 1400 } }, { ...a, options: { tfo: true as const } }];
    const [again] = await sockets.prepare(live);
    assert(again);
    assertStrictEquals(openFile(again), openFile(first));
    const address = listeningAddress(again);
    assertEquals(address && optionsOf(again, address), { mss: 1400, tfo: true });
    sockets.commit();
    const mptcp = [{ ...a, options: { mptcp: true as const } }];
    await assertRejects(() => sockets.prepare(mptcp), Error, "held without mptcp");
    sockets.rollback();
    assert(await isReachable(a));
    await close(sockets);
  });
});

Deno.test("an address named twice gives one socket twice", async () => {
  await eachKind(async (sockets) => {
    const [a, b] = params(2);
    assert(a && b);
    const [first, other, second] = files(await sockets.prepare([a, b, a]));
    assertStrictEquals(second, first);
    assertNotStrictEquals(other, first);
    sockets.commit();
    await close(sockets);
  });
});

Deno.test("of two backlogs for one address the longer counts, in whichever order", async () => {
  using folder = tempDir();
  await using binder = await startLocalBinder(folder.file("sock"));
  const [a, b] = params(2);
  assert(a && b);
  const sockets = binderSockets(folder.file("sock"));
  await sockets.prepare([{ ...a, backlog: 3000 }, b, a, b, { ...b, backlog: 3001 }]);
  assertEquals(binder.held().map(({ backlog }) => backlog), [3000, 3001]);
  await close(sockets);
});

Deno.test("a config without sockets needs none", async () => {
  await eachKind(async (sockets) => {
    assertEquals(await sockets.prepare([]), []);
    sockets.commit();
    await close(sockets);
  });
});

Deno.test("commit gives up what only the old config named, rollback what only the new", async () => {
  await eachKind(async (sockets, binders) => {
    const [a, b] = params(2);
    assert(a && b);
    const [first = ""] = files(await sockets.prepare([a]));
    sockets.commit();
    const ours = (file: string) => openCopies(file) - binders;
    const [rejected = ""] = files(await sockets.prepare([b, a]));
    sockets.rollback();
    assertEquals([ours(first), await isReachable(a)], [1, true], "what is served is untouched");
    assertStrictEquals(ours(rejected), 0);

    const [next = ""] = files(await sockets.prepare([b, a]));
    sockets.commit();
    assertEquals([ours(first), ours(next)], [1, 1]);
    await sockets.prepare([b]);
    sockets.commit();
    assertEquals([ours(first), ours(next)], [0, 1]);
    await close(sockets);
    assertStrictEquals(ours(next), 0);
  });
});

Deno.test("own sockets: ports are free again as soon as they are given up", async () => {
  using folder = tempDir();
  const sockets = ownSockets(folder);
  const [a, b] = params(2);
  assert(a && b);
  await sockets.prepare([a]);
  sockets.commit();
  await sockets.prepare([a, b]);
  assertEquals([isFree(a), isFree(b)], [false, false]);
  sockets.rollback();
  assertEquals([isFree(a), isFree(b)], [false, true]);
  await sockets.prepare([b]);
  sockets.commit();
  assertEquals([isFree(a), isFree(b)], [true, false]);
  await close(sockets);
  assertEquals([isFree(a), isFree(b)], [true, true]);
});

Deno.test("own sockets: all or none, and what is served stays", async () => {
  await leavesNoDescriptors(async () => {
    using folder = tempDir();
    const sockets = ownSockets(folder);
    const [a, b, taken] = params(3);
    assert(a && b && taken);
    using _other = Deno.listen({ hostname: taken.address, port: taken.port ?? 0 });
    await sockets.prepare([a]);
    sockets.commit();
    assertObjectMatch(await assertRejects(() => sockets.prepare([b, taken]), BindError), {
      code: "EADDRINUSE",
    });
    assertStrictEquals(isFree(b), true);
    sockets.rollback();
    assert(await isReachable(a));
    await close(sockets);
  });
});

Deno.test("own sockets: a stop gives them up, and what is prepared meanwhile", async () => {
  await leavesNoDescriptors(async () => {
    using folder = tempDir();
    const sockets = ownSockets(folder);
    const [a, b] = params(2);
    assert(a && b);
    await sockets.prepare([a]);
    sockets.commit();
    const preparing = sockets.prepare([a, b]);
    sockets.stop();
    assertEquals(sockets.served, []);
    await preparing;
    sockets.rollback();
    assertEquals([isFree(a), isFree(b)], [true, true]);
    await close(sockets);
  });
});

Deno.test("a binder's sockets are kept through a stop", async () => {
  using folder = tempDir();
  await using _binder = await startLocalBinder(folder.file("sock"));
  const sockets = binderSockets(folder.file("sock"));
  const fds = await sockets.prepare(params(1));
  sockets.commit();
  sockets.stop();
  assertEquals(sockets.served.map(({ fd }) => fd), fds);
  await close(sockets);
});

Deno.test("own sockets: the file of a UNIX socket goes with it", async () => {
  using folder = tempDir();
  const sockets = ownSockets(folder);
  const path = folder.file("site.sock");
  await sockets.prepare([{ address: `unix:${path}` }]);
  sockets.commit();
  assert(Deno.lstatSync(path).isSocket);
  await close(sockets);
  assertThrows(() => Deno.lstatSync(path), Deno.errors.NotFound);
});

Deno.test("own sockets: what has taken the place of a restored one's file is left alone", async () => {
  using folder = tempDir();
  const path = folder.file("site.sock");
  const param = { address: `unix:${path}` };
  const before = ownSockets(folder);
  const [fd] = await before.prepare([param]);
  assert(fd);
  const sockets = ownSockets(folder);
  await sockets.restore([{ param, fd: fd.duplicate() }]);
  await close(before);
  Deno.writeTextFileSync(path, "precious");
  const after = ownSockets(folder);
  await after.restore([{ param, fd: sockets.served[0]?.fd.duplicate() ?? fd }]);
  await close(sockets);
  await close(after);
  assertStrictEquals(Deno.readTextFileSync(path), "precious");
});

Deno.test("a binder at the default path is used, though nobody named it", async () => {
  await leavesNoDescriptors(async () => {
    using folder = tempDir();
    await using binder = await startLocalBinder(folder.file("sock"));
    const sockets = chooseSockets(options(), poller, silentLog, folder.file("sock"));
    const [fd] = await sockets.prepare(params(1));
    assertEquals(files(fd ? [fd] : []), binder.held().map((held) => openFile(held.fd)));
    await close(sockets);
  });
});

Deno.test("without a binder at the default path, or with a dead one's, it says so", async () => {
  using folder = tempDir();
  const stale = folder.file("no binder");
  for (const isThere of [false, true]) {
    if (isThere) {
      using listener = Deno.listen({ transport: "unix", path: folder.file("moved") });
      Deno.renameSync(folder.file("moved"), stale);
      void listener;
    }
    const said = watchedLog(/info no binder at .*: this process binds the listening sockets/);
    const sockets = ownSockets(folder, said.log);
    await sockets.prepare([]);
    assertStrictEquals(said.lines.length, 0, "nothing is held yet");
    for (const param of params(2)) await sockets.prepare([param]);
    await close(sockets);
    await said.line;
    assertStrictEquals(said.lines.length, 1);
  }
});

Deno.test("a default path that cannot be used is an error, and not no binder", () => {
  using folder = tempDir();
  Deno.writeTextFileSync(folder.file("file"), "");
  const path = folder.file("file/sock");
  assertObjectMatch(
    assertThrows(() => chooseSockets(options(), poller, silentLog, path), NoBinderError),
    { code: "ENOTDIR" },
  );
});

Deno.test("a binder that was named is waited for", async () => {
  await leavesNoDescriptors(async () => {
    using folder = tempDir();
    const sock = folder.file("sock");
    const sockets = binderSockets(sock);
    const prepared = sockets.prepare(params(1));
    await using binder = await startLocalBinder(sock);
    assertStrictEquals((await prepared).length, 1);
    assertStrictEquals(binder.requests.length, 1);
    await close(sockets);
  });
});

Deno.test("a binder that does not come is given up after the wait", async () => {
  await leavesNoDescriptors(async () => {
    using folder = tempDir();
    for (const wait of [0, 1]) {
      const sockets = binderSockets(folder.file("sock"), wait);
      assertObjectMatch(await assertRejects(() => sockets.prepare(params(1)), NoBinderError), {
        code: "ENOENT",
      });
      sockets.rollback();
      await close(sockets);
    }
  });
});

Deno.test("a path that no binder can have is not waited for", async () => {
  const sockets = binderSockets(`/${"x".repeat(200)}`);
  assertObjectMatch(await assertRejects(() => sockets.prepare(params(1)), Error), {
    code: "ENAMETOOLONG",
  });
});

Deno.test("while the binder is away, the sockets held go on, and no others", async () => {
  await leavesNoDescriptors(async () => {
    using folder = tempDir();
    const sock = folder.file("sock");
    const [a, b, other] = params(3);
    assert(a && b && other);
    const { log, line } = watchedLog(/warn going on with the sockets held so far/);
    const sockets = binderSockets(sock, LONG, log);
    let served: string[];
    {
      await using _binder = await startLocalBinder(sock);
      served = files(await sockets.prepare([a, b]));
      sockets.commit();
    }
    const fds = await sockets.prepare([b, a, b]);
    await line;
    assertEquals(files(fds), [served[1], served[0], served[1]]);
    sockets.rollback();
    assert(fds.every((fd) => !fd.closed), "they are still served");

    await assertRejects(() => sockets.prepare([a, other]), NoBinderError);
    sockets.rollback();

    assertEquals(files(await sockets.prepare([a])), [served[0]]);
    sockets.commit();
    assertEquals(served.map(openCopies), [1, 0], "the other one is given up");
    assert(await isReachable(a));
    await close(sockets);
    assertStrictEquals(await isReachable(a), false);
  });
});

/** Of a binder. Often enough the wrapper is just telling one what it holds when that one ends. */
const LIVES = 60;

Deno.test("a binder that is back is asked again, after it was handed back what is held", async () => {
  await leavesNoDescriptors(async () => {
    using folder = tempDir();
    const sock = folder.file("sock");
    const wanted = params(LIVES);
    const sockets = binderSockets(sock);
    let served: string[] = [];
    for (let life = 0; life < LIVES; life++) {
      await using binder = await startLocalBinder(sock);
      const fds = files(await sockets.prepare(wanted.slice(life, life + 1)));
      assertEquals(binder.held().map(({ fd }) => openFile(fd)), [...served, ...fds]);
      served = fds;
      sockets.commit();
    }
    await close(sockets);
  });
});

Deno.test("a refusal of the binder is passed on, and nothing is kept", async () => {
  await leavesNoDescriptors(async () => {
    using folder = tempDir();
    await using _binder = await startLocalBinder(folder.file("sock"));
    const [a, b, taken] = params(3);
    assert(a && b && taken);
    using _other = Deno.listen({ hostname: taken.address, port: taken.port ?? 0 });
    const sockets = binderSockets(folder.file("sock"));
    await sockets.prepare([a]);
    sockets.commit();
    assertObjectMatch(await assertRejects(() => sockets.prepare([a, b, taken]), RefusedError), {
      data: { code: "EADDRINUSE" },
    });
    sockets.rollback();
    assert(await isReachable(a));
    await close(sockets);
  });
});

Deno.test("a host name is the binder's to look up, and a refusal to it is one", async () => {
  using folder = tempDir();
  await using _binder = await startLocalBinder(folder.file("sock"));
  const [held] = params(1);
  assert(held);
  const sockets = binderSockets(folder.file("sock"));
  // A lookup of this process's own would fail without anybody to catch it: the test would with it.
  const name = { address: "nosuch.invalid", port: 80 };
  await assertRejects(() => sockets.prepare([held, name]), RefusedError);
  sockets.rollback();
  assertStrictEquals((await sockets.prepare([held])).length, 1);
  sockets.commit();
  await close(sockets);
});

Deno.test("a binder that refuses does not keep a config from what is held, nor from what it gives", async () => {
  await leavesNoDescriptors(async () => {
    using folder = tempDir();
    const sock = folder.file("sock");
    const [held, more] = params(2);
    assert(held && more);
    const { log, lines } = watchedLog(/never/);
    const sockets = binderSockets(sock, LONG, log);
    let before: string[];
    {
      await using _binder = await startLocalBinder(sock);
      before = files(await sockets.prepare([held]));
      sockets.commit();
    }
    // It has none of the sockets, is handed none, and may not hold the address.
    const allow = [`${more.address}:${more.port}`];
    await using _next = await startLocalBinder(sock, { trusts: () => false, allow });
    assertEquals(files(await sockets.prepare([held])), before);
    sockets.commit();
    const [first, second] = await sockets.prepare([held, more]);
    assertEquals(files(first ? [first] : []), before);
    assert(second && await isReachable(more));
    assertStrictEquals(
      lines.filter((line) => line.includes("going on with the sockets")).length,
      2,
    );
    sockets.rollback();
    const neither = { address: loopbackHost(), port: 8000 };
    await assertRejects(() => sockets.prepare([held, neither]), RefusedError);
    await close(sockets);
  });
});
