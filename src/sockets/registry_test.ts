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
import { BindError } from "./listen.ts";
import { fileId } from "./unix_path.ts";
import { Registry } from "./registry.ts";

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
