/** Upgrading the binder in place: nothing is lost, and signals in the midst of it are obeyed. */

import { assertEquals, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import { startBinder } from "../support/binder.ts";
import { bindOnce, ControlConnection, startPython } from "../support/control_client.ts";
import { listeningSockets } from "../support/process.ts";
import { loopbackHost, tempDir } from "../support/temp_dir.ts";

Deno.test("an upgrade keeps the pid, the sockets held, the control socket and its clients", async () => {
  using folder = tempDir();
  const [address, sock, site] = [loopbackHost(), folder.file("sock"), folder.file("site.sock")];
  await using binder = await startBinder([`${address}:2080`, "[::]:0,v4v6", `unix:${site}`], {
    sock,
  });
  const { pid } = binder.program;
  using silent = await ControlConnection.open(sock);
  using half = await ControlConnection.open(sock);
  await half.send(`{"method":"bind","id":"half","params":[{"address":"é${address}`.slice(0, 40));
  await bindOnce(sock, { address, port: 2080 });
  const before = { sockets: listeningSockets(pid), file: Deno.statSync(sock).ino };
  assertStrictEquals(before.sockets.length, 4);
  // A connection that nobody accepts yet: it waits in the queue of the socket held.
  using waiting = await Deno.connect({ hostname: address, port: 2080 });

  binder.program.signal("SIGUSR1");
  await binder.waitFor(({ upgrades }) => upgrades === 1);
  assertEquals({ sockets: listeningSockets(pid), file: Deno.statSync(sock).ino }, before);
  await half.send(`{"method":"bind","id":"half","params":[{"address":"é${address}`.slice(40));
  await half.send('","port":2080}]}');
  const answer = await half.receive();
  assertStrictEquals(answer?.id, "half");
  assertMatch(answer.error?.message ?? "", new RegExp(`malformed address "é${address}:2080"`));
  assertStrictEquals((await silent.bind({ address, port: 2080 }))?.result, true);

  await using python = await startPython(
    "serve",
    sock,
    JSON.stringify([{ address, port: 2080 }]),
  );
  await waiting.write(new TextEncoder().encode("again"));
  assertStrictEquals(await new Response(waiting.readable).text(), "hello again");
  assertStrictEquals((await python.exited).code, 0);

  assertEquals(await binder.program.end("SIGTERM"), { code: 0, signal: null });
  assertEquals([...Deno.readDirSync(folder.path)], []);
});

Deno.test("a storm of signals does no harm, and SIGTERM in it ends the binder properly", async () => {
  const address = loopbackHost();
  await using binder = await startBinder([`${address}:2080`]);
  for (let round = 1; round <= 4; round++) {
    for (let count = 0; count < 25; count++) {
      binder.program.signal("SIGUSR1");
      assertStrictEquals((await bindOnce(binder.sock, { address, port: 2080 })).result, true);
    }
    await binder.waitFor(({ upgrades }) => upgrades >= round);
  }
  binder.program.signal("SIGUSR1");
  assertEquals(await binder.program.end("SIGTERM"), { code: 0, signal: null });
  assertThrows(() => Deno.lstatSync(binder.sock), Deno.errors.NotFound);
});

Deno.test("SIGTERM is obeyed while a successor is checked, and once it has taken over", async () => {
  for (let round = 0; round < 6; round++) {
    await using binder = await startBinder();
    binder.program.signal("SIGUSR1");
    if (round % 2 === 0) await binder.waitFor(({ upgrades }) => upgrades === 1);
    assertEquals(await binder.program.end("SIGTERM"), { code: 0, signal: null });
    assertThrows(() => Deno.lstatSync(binder.sock), Deno.errors.NotFound);
  }
});
