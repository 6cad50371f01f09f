import { createSocket as createDatagramSocket } from "node:dgram";
import { assert, assertEquals } from "@std/assert";
import "../../tests/support/libc.ts";
import { ignoreIfEmulated } from "../../tests/support/emulated.ts";
import { until } from "../../tests/support/process_status.ts";
import { loopbackHost, tempDir } from "../../tests/support/temp_dir.ts";
import { acceptSocket, connectUnix } from "../../ffi/socket.ts";
import { resolveAddress, splitAddress } from "./address.ts";
import { listen } from "./listen.ts";
import { listenerState, readUnixQueues } from "./listener_state.ts";

const notEmulated = ignoreIfEmulated("it knows neither TCP_INFO nor SO_MEMINFO");
const open = async (text: string, backlog: number) => {
  const { fd, address } = listen(await resolveAddress(splitAddress(text)), backlog);
  return { fd, address, [Symbol.dispose]: () => fd.close() };
};
const pause = () => undefined;

Deno.test(
  "a TCP socket tells who waits, how many may, and how many were dropped",
  notEmulated,
  async () => {
    const hostname = loopbackHost();
    using socket = await open(`${hostname}:0`, 2);
    assert(socket.address.transport === "tcp");
    const { port } = socket.address;
    const state = () => listenerState(socket, new Map());
    assertEquals(state(), { queue: 0, limit: 2, drops: 0 });
    using clients = new DisposableStack();
    for (let queue = 1; queue <= 3; queue++) {
      const client = await Deno.connect({ hostname, port });
      clients.defer(() => client.close());
      assertEquals(state(), { queue, limit: 2, drops: 0 });
    }
    // It is full: the kernel drops what else comes, and the client tries again after a second.
    const late = Deno.connect({ hostname, port });
    await until(() => state().drops === 1);
    assertEquals(state(), { queue: 3, limit: 2, drops: 1 });
    acceptSocket(socket.fd)?.close();
    assertEquals(state().queue, 2);
    (await late).close();
  },
);

Deno.test(
  "a UDP socket tells the bytes that nobody has read, and the datagrams dropped",
  notEmulated,
  async () => {
    const hostname = loopbackHost();
    using socket = await open(`udp:${hostname}:0`, 1);
    assert(socket.address.transport === "udp");
    const { port } = socket.address;
    const state = () => listenerState(socket, new Map());
    const before = state();
    assertEquals([before.queue, before.drops], [0, 0]);
    assert(before.limit !== null && before.limit > 0);
    const sender = createDatagramSocket("udp4");
    using _closing = { [Symbol.dispose]: () => sender.close() };
    const datagram = new Uint8Array(1000);
    let sent = 0;
    while (state().drops === 0) {
      await new Promise((resolve) => sender.send(datagram, port, hostname, resolve));
      sent++;
      assert(
        sent * datagram.length <= before.limit,
        "more was sent than it takes, and none was dropped",
      );
    }
    const { queue, drops } = state();
    assert(queue !== null && queue > (sent - 1) * datagram.length && queue <= 2 * before.limit);
    assertEquals(drops, 1);
  },
);

Deno.test("a UNIX socket tells who waits and how many may", notEmulated, async () => {
  using folder = tempDir();
  using socket = await open(`unix:${folder.file("site.sock")}`, 7);
  using other = await open(`unix:@${crypto.randomUUID()}`, 5);
  const path = folder.file("site.sock");
  using _first = connectUnix(path);
  using _second = connectUnix(path);
  const unix = await readUnixQueues([socket, other], pause);
  assertEquals(listenerState(socket, unix), { queue: 2, limit: 7, drops: null });
  assertEquals(listenerState(other, unix), { queue: 0, limit: 5, drops: null });
});

Deno.test("what cannot be told is null", async () => {
  const { fd, address } = await open(`${loopbackHost()}:0`, 1);
  const unknown = { queue: null, limit: null, drops: null };
  fd.close();
  assertEquals(listenerState({ address, fd }, new Map()), unknown);
  using unix = await open(`unix:@${crypto.randomUUID()}`, 5);
  assertEquals(listenerState(unix, new Map()), unknown);
  // Without a UNIX socket the kernel is not asked about them.
  assertEquals(await readUnixQueues([{ address }], pause), new Map());
});
