/** Crowds of clients that take and give nothing: the honest ones among them are served all the time. */

import { assert, assertNotMatch, assertStrictEquals } from "@std/assert";
import { createSocket } from "node:dgram";
import "../support/libc.ts";
import { raiseFdLimit } from "../../ffi/rlimit.ts";
import { type Binder, startBinder } from "../support/binder.ts";
import { ControlConnection, settle, startPython } from "../support/control_client.ts";
import { crowd, ignoreReset, isServed } from "../support/crowd.ts";
import { openFds } from "../support/process.ts";
import { processStatus } from "../support/process_status.ts";
import { loopbackHost, tempDir } from "../support/temp_dir.ts";
import { ignoreUnless } from "../support/users.ts";

raiseFdLimit();

/** Clients that a binder has at most, and some. */
const MANY = 1000;

/** Runs `misbehave` against a binder of its own, which has as many descriptors afterwards as before. */
async function leavesNoTrace(
  misbehave: (binder: Binder, address: string) => Promise<void>,
  args: readonly string[] = [],
): Promise<void> {
  const address = loopbackHost();
  await using binder = await startBinder([`${address}:80`], { args });
  const countFds = () => openFds(binder.program.pid).size;
  let fds = 0;
  await settle(binder.sock, () => (fds = countFds()) > 0);
  await misbehave(binder, address);
  await settle(binder.sock, () => countFds() === fds);
  const [complaint] = /^.*( error | at .*\.js).*$/m.exec(binder.program.stderr) ?? [];
  assertStrictEquals(complaint, undefined);
}

Deno.test("a thousand clients that say nothing, or half of something", async () => {
  await leavesNoTrace(async (binder, address) => {
    using _silent = await crowd(binder, MANY);
    await isServed(binder, address);
    using _half = await crowd(binder, MANY, '{"method":"bind","params":[{"addr');
    await isServed(binder, address);
  });
});

Deno.test("clients that send a byte at a time keep their turn, and cost no other one its own", async () => {
  await leavesNoTrace(async (binder, address) => {
    using slow = await crowd(binder, 100, "{");
    using kept = await ControlConnection.open(binder.sock);
    for (const byte of '"method":"none","id":7') {
      for (const connection of slow.connections) await connection.send(byte);
      await isServed(binder, address, kept);
    }
    for (const connection of slow.connections) {
      await connection.send("}");
      assertStrictEquals((await connection.receive())?.id, 7);
    }
  });
});

Deno.test("more clients than may be connected, none of which reads its answers", async () => {
  await leavesNoTrace(async (binder, address) => {
    const { pid } = binder.program;
    // More answers than the kernel keeps for a client that does not read them.
    using _deaf = await crowd(binder, MANY, '{"method":""}'.repeat(5000));
    for (let round = 0; round < 20; round++) await isServed(binder, address);
    const memory = Number.parseInt(processStatus(pid, "RssAnon") ?? "");
    assert(memory < 150_000, `${memory} KiB`);
  });
});

Deno.test("clients without end, each silent", async () => {
  await leavesNoTrace(async (binder, address) => {
    using kept = await ControlConnection.open(binder.sock);
    await using flood = await startPython("knock", binder.sock, "");
    await flood.waitFor(/knocked 5000/);
    // The queue of those who connect is full: only the kernel could tell whom to let through.
    for (let round = 0; round < 20; round++) await isServed(binder, address, kept, "kept alone");
    // Signals have their turn as well.
    binder.program.signal("SIGHUP");
    await binder.program.waitFor(/SIGHUP does nothing/);
    await flood.end("SIGKILL");
  });
});

Deno.test("a client that asks without a pause, and reads its answers", async () => {
  await leavesNoTrace(async (binder, address) => {
    using greedy = await ControlConnection.open(binder.sock);
    let stopped = false;
    const flood = async () => {
      const requests = '{"method":"none","id":1}'.repeat(5000);
      while (!stopped) await greedy.send(requests);
      await greedy.send('{"method":"none","id":"last"}');
    };
    const drain = async () => {
      while ((await greedy.receive())?.id !== "last");
    };
    const flooding = Promise.all([flood(), drain()]);
    for (let round = 0; round < 20; round++) await isServed(binder, address);
    stopped = true;
    await flooding;
  });
});

for (
  const [name, args] of [
    ["a crowd of another user's costs nobody else a connection", ["--allow-uid", "65534"]],
    ["a user who is denied cannot keep those out who are not", []],
  ] as const
) {
  Deno.test({
    name,
    ignore: ignoreUnless(Deno.uid() === 0, "to be several users needs root"),
    async fn() {
      await leavesNoTrace(async (binder, address) => {
        using kept = await ControlConnection.open(binder.sock);
        await using stranger = await startPython("crowd", binder.sock, "", String(MANY), "65534");
        await stranger.waitFor(/connected/);
        await isServed(binder, address, kept);
      }, ["--mode", "0666", ...args]);
    },
  });
}

Deno.test({
  name: "names that no name server answers delay names alone",
  ignore: ignoreUnless(Deno.uid() === 0, "a name server of its own needs root"),
  async fn() {
    using folder = tempDir();
    const address = loopbackHost();
    const mute = createSocket("udp4");
    const asked = new Promise((resolve) => mute.once("message", resolve));
    using cleanup = new DisposableStack();
    cleanup.defer(() => mute.close());
    await new Promise<void>((resolve) => mute.bind(53, address, resolve));
    Deno.writeTextFileSync(folder.file("resolv.conf"), `nameserver ${address}\n`);
    const script = `mount --bind ${folder.file("resolv.conf")} /etc/resolv.conf && exec "$0" "$@"`;
    await using binder = await startBinder([`${address}:80`], {
      args: ["--allow", "*"],
      through: ["unshare", "--mount", "sh", "-c", script],
    });
    const request = '{"method":"bind","id":1,"params":[{"address":"slow.example","port":80}]}';
    using _asking = await crowd(binder, 100, request);
    await asked;
    for (let round = 0; round < 20; round++) await isServed(binder, address);
  },
});

Deno.test("ports in use, asked for all the time, are refused without much search", async () => {
  const address = loopbackHost();
  await using binder = await startBinder([`${address}:80`], { args: ["--allow", "*"] });
  using other = Deno.listen({ hostname: address, port: 81 });
  const request = `{"method":"bind","id":1,"params":[{"address":"${address}","port":81}]}`;
  using asking = await crowd(binder, 100, request.repeat(20));
  for (const connection of asking.connections) {
    const error = (await connection.receive())?.error;
    assertStrictEquals(error?.data?.code, "EADDRINUSE");
  }
  for (let round = 0; round < 20; round++) await isServed(binder, address);
  assertStrictEquals(other.addr.transport, "tcp");
});

Deno.test("what a client writes is not all logged", async () => {
  const address = loopbackHost();
  await using binder = await startBinder([`${address}:80`]);
  using connection = await ControlConnection.open(binder.sock);
  const long = "x".repeat(500_000);
  const requests = [
    `{"method":"${long}","id":1}`,
    `{"method":"bind","id":2,"params":[{"address":"[${long}","port":1}]}`,
    `{"method":"bind","id":3,"params":[{"address":"unix:/${long}"}]}`,
    `{"method":"bind","id":4,"params":[{"address":"${long}.example","port":1}]}`,
  ];
  for (const request of requests) {
    await connection.send(request).catch(ignoreReset);
    assert((await connection.receive())?.error);
  }
  await isServed(binder, address, connection);
  assertNotMatch(binder.program.stderr, /^.{1000}/m);
});
