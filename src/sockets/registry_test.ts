import {
  assert,
  assertEquals,
  assertNotStrictEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { acceptQueue, connectUnix } from "../../ffi/socket.ts";
import { leavesNoDescriptors, openFile } from "../../tests/support/descriptors.ts";
import { loopbackHost, tempDir } from "../../tests/support/temp_dir.ts";
import { type Address, formatAddress, resolveAddress, splitAddress } from "./address.ts";
import { expandAddresses } from "./address_list.ts";
import { UserError } from "../errors.ts";
import { BindError } from "./bind_error.ts";
import { optionsOf } from "./kernel_options.ts";
import type { Held } from "./held.ts";
import { fileId } from "./place.ts";
import { Registry } from "./registry.ts";
import { type Wanted, wantedOf } from "./wanted.ts";

const BACKLOG = 100;
const parse = (text: string) => resolveAddress(splitAddress(text));

async function want(...texts: string[]): Promise<{ address: Address }[]> {
  return (await Promise.all(texts.map(parse))).map((address) => ({ address }));
}

/** A registry whose sockets are closed at the end of the scope. */
class ScopedRegistry extends Registry implements Disposable {
  constructor() {
    super(BACKLOG);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

Deno.test("one address is one socket, however it is written", async () => {
  using registry = new ScopedRegistry();
  const [six] = registry.bind(await want("[::1]:0"));
  assert(six !== undefined && six.address.transport !== "unix");
  const { port } = six.address;
  const again = registry.bind(await want(`[0:0::1]:${port}`, `[::0001]:${port}`, `::1:${port}`));
  for (const held of again) assertStrictEquals(held, six);
  assertStrictEquals(registry.list().length, 1);

  const [own] = registry.bind(await want(`:${port}`));
  const [same] = registry.bind(await want(`0.0.0.0:${port}`));
  assertStrictEquals(own, same);
  assert(own !== undefined && openFile(own.fd) !== openFile(six.fd));
  assertEquals(registry.list(), [six, own], "in the order in which they were bound");
});

Deno.test("an address named twice in one request is bound once", async () => {
  using registry = new ScopedRegistry();
  const host = loopbackHost();
  const held = registry.bind(await want(`${host}:8080`, `${host}:8081`, `${host}:08080`));
  assertStrictEquals(held[0], held[2]);
  assertNotStrictEquals(held[0], held[1]);
  assertStrictEquals(registry.list().length, 2);
});

Deno.test("when one of several cannot be bound none is kept, but what was held before is", async () => {
  using dir = tempDir();
  const [host, path] = [loopbackHost(), dir.file("site.sock")];
  await leavesNoDescriptors(async () => {
    using registry = new ScopedRegistry();
    const before = registry.bind(await want(`${host}:8080`));
    const wanted = await want(`${host}:8080`, `${host}:8081`, `unix:${path}`, "192.0.2.1:8080");
    const error = assertThrows(() => registry.bind(wanted), BindError);
    assertStrictEquals(error.address, "192.0.2.1:8080");
    assertEquals(registry.list(), before);
    assertStrictEquals(fileId(path), undefined);

    using other = new ScopedRegistry();
    other.bind(await want(`${host}:8081`, `unix:${path}`));
  });
});

Deno.test("an accept queue grows and never shrinks", async () => {
  using registry = new ScopedRegistry();
  const most = Number(Deno.readTextFileSync("/proc/sys/net/core/somaxconn"));
  const address = await parse(`${loopbackHost()}:8080`);
  const [held] = registry.bind([{ address }]);
  assert(held !== undefined);
  const asked: [backlog: number | undefined, length: number][] = [
    [undefined, BACKLOG],
    [BACKLOG - 1, BACKLOG],
    [0, BACKLOG],
    [BACKLOG + 1, BACKLOG + 1],
    [undefined, BACKLOG + 1],
    [BACKLOG, BACKLOG + 1],
    [1_000_000, 1_000_000],
    [10, 1_000_000],
  ];
  for (const [backlog, length] of asked) {
    registry.bind([backlog === undefined ? { address } : { address, backlog }]);
    assertStrictEquals(held.backlog, length);
    assertStrictEquals(acceptQueue(held.fd).limit, Math.min(length, most));
  }
});

/** What a text that may name several sockets asks for. */
async function wantAll(text: string): Promise<Wanted[]> {
  const parts = expandAddresses(text).map(splitAddress);
  return await Promise.all(parts.map(async (one) => wantedOf(await resolveAddress(one), one)));
}

Deno.test("a live socket takes the options that it can, and keeps those that are not named", async () => {
  using registry = new ScopedRegistry();
  const text = `${loopbackHost()}:8080`;
  const [held] = registry.bind(await wantAll(`${text},mss=1400`));
  assert(held !== undefined);
  for (const options of ["", ",tfo", ",mss=1300,defer-accept", ",backlog=200"]) {
    assertEquals(registry.bind(await wantAll(text + options)), [held]);
  }
  assertEquals(optionsOf(held.fd, held.address), { mss: 1300, tfo: true, "defer-accept": true });
  assertStrictEquals(acceptQueue(held.fd).limit, 200);

  const mptcp = await wantAll(`${text},mptcp`);
  assertThrows(() => registry.bind(mptcp), BindError, "held without mptcp");
  const other = await wantAll(`${text},interface=lo`);
  assertThrows(() => registry.bind(other), BindError, `it overlaps ${text}, which is held already`);
});

Deno.test("a UNIX socket's file gets its mode and owner, when it is made and when it is held", async () => {
  using dir = tempDir();
  using registry = new ScopedRegistry();
  const path = dir.file("site.sock");
  const mode = () => (Deno.lstatSync(path).mode ?? 0) & 0o777;
  registry.bind(await wantAll(`unix:${path},mode=600`));
  assertStrictEquals(mode(), 0o600);
  registry.bind(await wantAll(`unix:${path},mode=0666,user=${Deno.uid()}`));
  assertStrictEquals(mode(), 0o666);
  registry.bind(await wantAll(`unix:${path},group=${Deno.gid()}`));
  assertStrictEquals(mode(), 0o666, "it is left where only the owner is named");
  const unknown = await wantAll(`unix:${path},user=no-such-user`);
  assertThrows(() => registry.bind(unknown), UserError, 'there is no user "no-such-user"');
  if (Deno.uid() === 0) {
    // A directory service gives out numbers of ten digits.
    for (const uid of [1_668_600_500, 65534]) {
      registry.bind(await wantAll(`unix:${path},user=${uid}`));
      assertEquals([Deno.lstatSync(path).uid, mode()], [uid, 0o666]);
    }
  }
  const gone = await wantAll(`unix:${path},mode=600`);
  Deno.removeSync(path);
  assertThrows(() => registry.bind(gone), Error);
  Deno.writeTextFileSync(path, "precious", { mode: 0o644 });
  assertThrows(() => registry.bind(gone), Error);
  assertStrictEquals(mode(), 0o644);
});

Deno.test("sockets that share an address are as many as asked for, and no others are let in", async () => {
  using registry = new ScopedRegistry();
  const text = `${loopbackHost()}:8080`;
  const four = await wantAll(`${text},reuseport=4`);
  const held = registry.bind(four);
  assertEquals(registry.bind(four), held);
  assertStrictEquals(new Set(held.map(({ fd }) => openFile(fd))).size, 4);
  for (const other of [text, `${text},reuseport=2`, `:8080`, `:8080,reuseport=4`]) {
    const wanted = await wantAll(other);
    assertThrows(() => registry.bind(wanted), BindError, "which is held already (EADDRINUSE)");
  }
  assertStrictEquals(registry.size, 4);
  // Nor beside those of somebody else, who has the same user.
  using stranger = new ScopedRegistry();
  assertThrows(() => stranger.bind(four), BindError, "the address is in use (EADDRINUSE)");
  registry.close();
  assertStrictEquals(stranger.bind(four).length, 4);
});

Deno.test("a UDP socket has no accept queue to grow", async () => {
  using registry = new ScopedRegistry();
  const address = await parse(`udp:${loopbackHost()}:8080`);
  const [first] = registry.bind([{ address }]);
  const [again] = registry.bind([{ address, backlog: 5000 }]);
  assertStrictEquals(first, again);
});

Deno.test("a UNIX socket's file goes with it, unless another has taken its place", async () => {
  using dir = tempDir();
  const [mine, other] = [dir.file("mine.sock"), dir.file("other.sock")];
  using registry = new ScopedRegistry();
  using successor = new ScopedRegistry();
  registry.bind(await want(`unix:${mine}`, `unix:${other}`));
  Deno.removeSync(other);
  successor.bind(await want(`unix:${other}`));
  registry.close();
  assertStrictEquals(fileId(mine), undefined);
  connectUnix(other).close();
  assertEquals(registry.list(), []);
});

Deno.test("an abandoned UNIX socket keeps its file while another process serves it", async () => {
  using dir = tempDir();
  const [mine, shared, taken] = [dir.file("mine"), dir.file("shared"), dir.file("taken")];
  const registry = new Registry(BACKLOG);
  const held = registry.bind(await want(`unix:${mine}`, `unix:${shared}`, `unix:${taken}`));
  using _copy = held[1]?.fd.duplicate();
  Deno.removeSync(taken);
  Deno.writeTextFileSync(taken, "precious");
  registry.abandon();
  assertEquals(held.map(({ fd }) => fd.closed), [true, true, true]);
  assertEquals([fileId(mine), registry.list()], [undefined, []]);
  connectUnix(shared).close();
  assertStrictEquals(Deno.readTextFileSync(taken), "precious");
});

Deno.test("all but those kept are closed", async () => {
  using dir = tempDir();
  using registry = new ScopedRegistry();
  const [host, path] = [loopbackHost(), dir.file("site.sock")];
  const [first, second] = registry.bind(await want(`${host}:8080`, `${host}:8081`, `unix:${path}`));
  assert(first !== undefined && second !== undefined);
  registry.closeExcept(new Set([second]));
  assertEquals(registry.list(), [second]);
  assertEquals([first.fd.closed, second.fd.closed], [true, false]);
  assertStrictEquals(fileId(path), undefined);
});

Deno.test("a socket that cannot be mended serves nobody, for whatever reason", () => {
  using registry = new ScopedRegistry();
  // As when somebody puts another file into the place of a UNIX socket that is bound anew.
  registry.mend = () => {
    throw new UserError("somebody has put another file in its place");
  };
  assertStrictEquals(registry.serves({} as Held), false);
});

Deno.test("sockets taken over are found by their address", async () => {
  using registry = new ScopedRegistry();
  const [held] = registry.bind(await want(`${loopbackHost()}:8080`));
  assert(held !== undefined);
  const successor = new Registry(BACKLOG);
  successor.add(held);
  assertStrictEquals(successor.find(held.address), held);
  const [found] = successor.bind(await want(formatAddress(held.address)));
  assertStrictEquals(found, held);
});
