/** Clients that misbehave: each is refused or dropped, and the others are served as if it were not there. */

import { assertEquals, assertMatch, assertNotMatch, assertStrictEquals } from "@std/assert";
import { type Binder, startBinder } from "../support/binder.ts";
import {
  bindOnce,
  bindRequest,
  callFromPython,
  ControlConnection,
  settle,
  startPython,
} from "../support/control_client.ts";
import { ignoreReset } from "../support/crowd.ts";
import { listeningSockets, openFds } from "../support/process.ts";
import { loopbackHost } from "../support/temp_dir.ts";
import type { BinderStatus } from "../support/status.ts";
import { waitForStatus } from "../support/wait_for_status.ts";

/**
 * Runs `misbehave` between binds of a healthy client that is connected all the time, and another that
 * connects anew; in the end the binder has as many descriptors as before.
 */
async function besideHealthyClients(
  misbehave: (binder: Binder, proveHealth: () => Promise<void>) => Promise<void>,
): Promise<void> {
  const address = loopbackHost();
  await using binder = await startBinder([`${address}:2080`]);
  using healthy = await ControlConnection.open(binder.sock);
  const proveHealth = async () => {
    assertStrictEquals((await healthy.bind({ address, port: 2080 }))?.result, true);
    assertStrictEquals((await bindOnce(binder.sock, { address, port: 2080 })).result, true);
  };
  const countFds = () => openFds(binder.program.pid).size;
  let fds = 0;
  await settle(binder.sock, () => (fds = countFds()) > 0);
  await misbehave(binder, proveHealth);
  await proveHealth();
  await settle(binder.sock, () => countFds() === fds);
  assertNotMatch(binder.program.stderr, / error | at .*\.js/);
}

Deno.test("garbage is answered with a parse error and the connection closed", async () => {
  await besideHealthyClients(async ({ sock }, proveHealth) => {
    const pieces: (string | Uint8Array<ArrayBuffer>)[] = [
      "GET / HTTP/1.1\r\n\r\n",
      "[1, 2]",
      "\0\0\0\0",
      new Uint8Array(70_000).fill(0xff),
      new Uint8Array([0x7b, 0xff, 0x7d]), // braces around what is not UTF-8
    ];
    for (const piece of pieces) {
      using connection = await ControlConnection.open(sock);
      await connection.send(piece).catch(ignoreReset);
      const answer = await connection.receive();
      assertEquals([answer?.id, answer?.error?.code], [null, -32700]);
      assertStrictEquals(await connection.receive().catch(ignoreReset), undefined, "it is closed");
      await proveHealth();
    }
  });
});

Deno.test("a broken object is answered with a parse error, and the next one as ever", async () => {
  await besideHealthyClients(async ({ sock }) => {
    using connection = await ControlConnection.open(sock);
    for (const text of ["{}", '{"method":}', "{,}"]) {
      await connection.send(text);
      const code = (await connection.receive())?.error?.code;
      assertStrictEquals(code, text === "{}" ? -32600 : -32700);
    }
    await connection.send(' \n {"method":"none","id":"é}{\\""}');
    assertEquals((await connection.receive())?.id, 'é}{"');
  });
});

Deno.test("a message in single bytes, or several in one, are understood", async () => {
  await besideHealthyClients(async ({ sock }, proveHealth) => {
    using connection = await ControlConnection.open(sock);
    const address = loopbackHost();
    for (const byte of '{"method":"none","id":7}') await connection.send(byte);
    assertStrictEquals((await connection.receive())?.id, 7);
    await connection.send(
      '{"method":"a","id":1}{"method":"b","id":2}\n\n{"method":"c","id":3}{"me',
    );
    for (const id of [1, 2, 3]) assertStrictEquals((await connection.receive())?.id, id);
    await proveHealth();
    await connection.send('thod":"d","id":4}');
    assertStrictEquals((await connection.receive())?.id, 4);
    assertMatch((await connection.bind({ address, port: 2080 }))?.error?.message ?? "", /--allow/);
  });
});

Deno.test("a client that leaves in the middle of a message is forgotten", async () => {
  await besideHealthyClients(async ({ sock }, proveHealth) => {
    for (let round = 0; round < 20; round++) {
      using connection = await ControlConnection.open(sock);
      await connection.send('{"method":"bind","params":[{"addr');
    }
    await proveHealth();
    await using killed = await startPython("mute", sock, '{"method":', "1");
    await killed.waitFor(/sent/);
    await killed.end("SIGKILL");
  });
});

Deno.test("a message without end is cut off at its limit", async () => {
  await besideHealthyClients(async ({ sock }, proveHealth) => {
    using connection = await ControlConnection.open(sock);
    const sending = connection.send(`{"method":"${"x".repeat(2 * 1024 * 1024)}`).catch(ignoreReset);
    assertMatch((await connection.receive())?.error?.message ?? "", /longer than 1048576 bytes/);
    await sending;
    await proveHealth();
  });
});

Deno.test("clients that are silent are left waiting, and too many make room", async () => {
  await besideHealthyClients(async ({ sock, program }, proveHealth) => {
    using silent = new DisposableStack();
    for (let count = 0; count < 300; count++) {
      const connection = silent.use(await ControlConnection.open(sock));
      if (count % 2 === 0) await connection.send('{"method"');
    }
    await proveHealth();
    for (let count = 0; count < 300; count++) silent.use(await ControlConnection.open(sock));
    await proveHealth();
    await program.waitFor(/too many clients, closed the longest silent one/);
  });
});

Deno.test("a client that reads no answer delays nobody", async () => {
  await besideHealthyClients(async ({ sock, program }, proveHealth) => {
    await using deaf = await startPython("mute", sock, '{"method":"none","id":1}', "1000000");
    await waitForStatus<BinderStatus>(program, sock, ({ errors }) => errors >= 10);
    for (let round = 0; round < 20; round++) await proveHealth();
    assertStrictEquals(deaf.stdout, "", "more was taken in than may wait");
  });
});

Deno.test("descriptors sent to the binder are closed", async () => {
  await besideHealthyClients(async ({ sock }) => {
    await using python = await startPython("give", sock, '{"method":"none","id":1}');
    const [line] = await python.waitFor(/^.*answer.*$/);
    const { answer, closed } = JSON.parse(line);
    assertEquals([answer.error.code, closed], [-32601, true]);
  });
});

Deno.test("a batch beyond the limit of open files names it, and binds nothing", async () => {
  const address = loopbackHost();
  await using binder = await startBinder([], { through: ["prlimit", "--nofile=64:64"] });
  const params = Array.from({ length: 100 }, (_, index) => ({ address, port: 2080 + index }));
  for (let round = 0; round < 3; round++) {
    const { error } = await bindOnce(binder.sock, ...params);
    assertMatch(error?.message ?? "", /limit of 64 open files is reached.*\(EMFILE\)/);
    assertStrictEquals(error?.data?.code, "EMFILE");
    const tables = listeningSockets(binder.program.pid).map(({ table }) => table);
    assertEquals(tables, round === 0 ? ["unix"] : ["tcp", "unix"]);
    const [one] = await callFromPython(binder.sock, bindRequest({ address, port: 1080 }));
    assertStrictEquals(one?.answer.result, true);
  }
});

Deno.test("clients beyond the limit of open files make room for each other", async () => {
  const address = loopbackHost();
  const through = ["prlimit", "--nofile=64:64"];
  await using binder = await startBinder([`${address}:2080`], { through });
  using silent = new DisposableStack();
  for (let count = 0; count < 100; count++) silent.use(await ControlConnection.open(binder.sock));
  assertStrictEquals((await bindOnce(binder.sock, { address, port: 2080 })).result, true);
});
