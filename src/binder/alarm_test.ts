import { assertEquals, assertMatch } from "@std/assert";
import "../../tests/support/libc.ts";
import { ignoreIfEmulated } from "../../tests/support/emulated.ts";
import { until } from "../../tests/support/process_status.ts";
import { loopbackHost } from "../../tests/support/temp_dir.ts";
import { acceptSocket } from "../../ffi/socket.ts";
import { spawn } from "../../ffi/spawn.ts";
import { reap } from "../../ffi/process.ts";
import { createLog } from "../log.ts";
import { resolveAddress } from "../sockets/address.ts";
import { listen } from "../sockets/listen.ts";
import { listenerState } from "../sockets/listener_state.ts";
import type { Held } from "../sockets/held.ts";
import { Registry } from "../sockets/registry.ts";
import { Alarm } from "./alarm.ts";

const notEmulated = ignoreIfEmulated("it knows neither TCP_INFO nor SO_MEMINFO");
/** Not the default. */
const AFTER = 8000;

/** A socket, an alarm, and clients that wait in the queue. */
class Scene implements AsyncDisposable {
  readonly #resources = new DisposableStack();
  readonly hostname = loopbackHost();
  readonly registry = new Registry(4);
  readonly log: string[] = [];
  readonly alarm: Alarm;
  held!: Held;

  constructor() {
    const log = createLog(
      { format: "text", level: "info", journal: true },
      (line) => this.log.push(line.trim()),
    );
    this.alarm = new Alarm({
      registry: this.registry,
      log,
      likely: () => [],
      unservedAfter: AFTER,
    });
  }

  async begin(): Promise<this> {
    const address = await resolveAddress({ address: this.hostname, port: 0 });
    const [held] = this.registry.bind([{ address }]);
    if (held === undefined) throw new Error("nothing is held");
    this.held = held;
    return this;
  }

  get port(): number {
    return this.held.address.transport === "unix" ? 0 : this.held.address.port;
  }

  get address(): string {
    return `${this.hostname}:${this.port}`;
  }

  async connect(): Promise<void> {
    const client = await Deno.connect({ hostname: this.hostname, port: this.port });
    this.#resources.defer(() => client.close());
  }

  get messages(): string[] {
    return this.alarm.troubles.map(({ message }) => message);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#resources.dispose();
    this.registry.close();
    return Promise.resolve();
  }
}

Deno.test(
  "clients that wait where nobody serves are told of after a while, until one is accepted",
  notEmulated,
  async () => {
    await using scene = await new Scene().begin();
    const { alarm, address } = scene;
    await alarm.look(1000);
    await scene.connect();
    await alarm.look(2000);
    await scene.connect();
    await alarm.look(2000 + AFTER - 1);
    assertEquals([scene.messages, scene.log], [[], []]);
    await alarm.look(2000 + AFTER);
    const message = "nobody serves the address: 2 connections wait, for 8s";
    assertEquals(alarm.troubles, [
      { address, kind: "unserved", since: 2000 + AFTER, message: `${address}: ${message}` },
    ]);
    await alarm.look(3000 + AFTER);
    assertEquals(scene.log, [`<4>${message} address=${address} waiting=2`]);
    acceptSocket(scene.held.fd)?.close();
    await alarm.look(4000 + AFTER);
    assertEquals(scene.messages, []);
    assertMatch(scene.log[1] ?? "", /the address is served again address=/);
  },
);

Deno.test(
  "a process that has the socket open serves it, though it accepts nothing now",
  notEmulated,
  async () => {
    await using scene = await new Scene().begin();
    const { alarm } = scene;
    await scene.connect();
    await alarm.look(1);
    const pid = spawn({ argv: ["sleep", "1000"], env: Deno.env.toObject(), fds: [scene.held.fd] });
    try {
      await alarm.look(1 + AFTER);
      assertEquals(scene.messages, []);
    } finally {
      Deno.kill(pid, "SIGKILL");
      await until(() => reap()?.pid === pid);
    }
    // It is not searched for again at once, but it is.
    await alarm.look(2 + AFTER);
    assertEquals(scene.messages, []);
    await alarm.look(1 + 3 * AFTER);
    assertEquals(scene.messages.length, 1);
  },
);

Deno.test("a queue that is nearly full is told of, until it has room", notEmulated, async () => {
  await using scene = await new Scene().begin();
  const { alarm, address } = scene;
  for (let waiting = 1; waiting <= 3; waiting++) await scene.connect();
  await alarm.look(1);
  assertEquals(scene.messages, []);
  await scene.connect();
  await alarm.look(2);
  const message = "the queue is nearly full: 4 of 4 connections wait";
  assertEquals(scene.messages, [`${address}: ${message}`]);
  acceptSocket(scene.held.fd)?.close();
  await alarm.look(3);
  assertEquals(scene.messages, []);
  assertEquals(scene.log, [
    `<4>${message} address=${address} queue=4 limit=4`,
    `<6>the queue has room again address=${address}`,
  ]);
});

Deno.test(
  "connections that the kernel drops are told of for a minute, and summed up",
  notEmulated,
  async () => {
    await using scene = await new Scene().begin();
    const { alarm, address, held } = scene;
    for (let waiting = 1; waiting <= 5; waiting++) await scene.connect();
    await alarm.look(1);
    const late = Deno.connect({ hostname: scene.hostname, port: scene.port });
    const drops = () => listenerState(held, new Map()).drops ?? 0;
    await until(() => drops() > 0);
    acceptSocket(held.fd)?.close();
    (await late).close();
    const dropped = drops();
    await alarm.look(2);
    const sentence = `the kernel has dropped ${dropped} connection${dropped === 1 ? "" : "s"}`;
    const { kind, message } = alarm.troubles.at(-1) ?? {};
    assertEquals([kind, message], ["drops", `${address}: ${sentence}`]);
    await alarm.look(59_000);
    assertEquals(alarm.troubles.some((one) => one.kind === "drops"), true);
    await alarm.look(60_002);
    assertEquals(alarm.troubles.some((one) => one.kind === "drops"), false);

    // Another socket, bound in the place of this one, has dropped nothing.
    held.fd.close();
    held.fd = listen(held.address, 4).fd;
    await alarm.look(60_003);
    assertEquals(alarm.troubles.some((one) => one.kind === "drops"), false);
  },
);
