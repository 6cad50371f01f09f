/** Descriptors: those that clients send, and those that run out. */

import { assertMatch, assertStrictEquals } from "@std/assert";
import { type Binder, startBinder } from "../support/binder.ts";
import { bindOnce, bindRequest, callFromPython, startPython } from "../support/control_client.ts";
import { crowd, isServed } from "../support/crowd.ts";
import { listeningSockets, openFds } from "../support/process.ts";
import { until } from "../support/process_status.ts";
import { runProgram } from "../support/program.ts";
import { loopbackHost } from "../support/temp_dir.ts";

/** Leaves a binder `free` descriptors to open; undefined for more than it needs. */
async function limitFds({ program }: Binder, free?: number): Promise<void> {
  const used = new Set(openFds(program.pid).keys());
  // The limit is on the numbers of descriptors, and there are gaps between those in use.
  let limit = 1000;
  if (free !== undefined) {
    limit = 0;
    for (let left = free; left > 0 || used.has(limit); limit++) if (!used.has(limit)) left--;
  }
  const { code, stderr } = await runProgram(
    ["prlimit", "--pid", String(program.pid), `--nofile=${limit}:`],
  );
  assertStrictEquals(code, 0, stderr);
}

Deno.test("a flood of descriptors leaves none, and delays nobody", async () => {
  const address = loopbackHost();
  await using binder = await startBinder([`${address}:80`]);
  const { pid } = binder.program;
  const before = openFds(pid).size;
  await using flood = await startPython("flood", binder.sock, '{"method":"none","id":1}');
  await flood.waitFor(/answered 1000/);
  for (let round = 0; round < 20; round++) await isServed(binder, address);
  flood.signal("SIGKILL");
  await until(() => openFds(pid).size === before);
});

Deno.test("a socket that lingers is not waited for, read or unread", async () => {
  const address = loopbackHost();
  await using binder = await startBinder([`${address}:80`]);
  for (const text of ['{"method":"none","id":1}', "garbage", "{"]) {
    binder.program.signal("SIGSTOP");
    await using python = await startPython("linger", binder.sock, text);
    await python.waitFor(/sent/);
    binder.program.signal("SIGCONT");
    await isServed(binder, address);
    // The half message is given up with its connection; what goes with it must not be waited for either.
    await python.end("SIGKILL");
    await isServed(binder, address);
  }
});

Deno.test("without descriptors clients are refused, and served again when there are some", async () => {
  const address = loopbackHost();
  await using binder = await startBinder([`${address}:80`], { args: ["--allow", "*"] });
  const { pid } = binder.program;
  const before = openFds(pid).size;
  const isAlone = () => openFds(pid).size === before;
  for (let round = 0; round < 3; round++) {
    await until(isAlone);
    // One descriptor is left for a connection, and none for a socket.
    await limitFds(binder, 1);
    const refused = await bindOnce(binder.sock, { address, port: 81 });
    assertStrictEquals(refused.error?.data?.code, "EMFILE", JSON.stringify(refused));
    assertMatch(refused.error.message, /limit of \d+ open files is reached/);
    const [held] = await callFromPython(binder.sock, bindRequest({ address, port: 80 }));
    assertStrictEquals(held?.sockets.length, 1, "what is held is handed out: that takes none");

    // None is left for a connection.
    await until(isAlone);
    await limitFds(binder, 0);
    using waiting = await crowd(binder, 10, '{"method":"none","id":1}');
    await binder.program.waitFor(
      /cannot accept a client.*limit of \d+ open files .*EMFILE/,
      round + 1,
    );
    await limitFds(binder);
    for (const connection of waiting.connections) {
      assertStrictEquals((await connection.receive())?.id, 1);
    }
    await isServed(binder, address);
  }
  assertStrictEquals((await bindOnce(binder.sock, { address, port: 81 })).result, true);
  assertStrictEquals(listeningSockets(pid).length, 3);
});
