/** Upgrading the binder in place: nothing is lost, and what cannot succeed it leaves it serving. */

import { assertEquals, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import { multibinder, startBinder } from "../support/binder.ts";
import { bindOnce, ControlConnection, startPython } from "../support/control_client.ts";
import { exists } from "../support/files.ts";
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

Deno.test("a file that cannot succeed the binder leaves it serving, and the status says why", async () => {
  using folder = tempDir();
  const address = loopbackHost();
  const program = folder.file("multibinder");
  const copy = () => {
    Deno.copyFileSync(multibinder(), program);
    Deno.chmodSync(program, 0o755);
  };
  copy();
  await using binder = await startBinder([`${address}:2080`], { program });
  const size = Deno.statSync(program).size;
  const script = (text: string) => Deno.writeTextFileSync(program, text, { mode: 0o755 });
  const replacements: [string, () => void, RegExp][] = [
    ["nothing at all", () => {}, /cannot be run: .*ENOENT/],
    ["an empty file", () => script(""), /cannot be run: .*ENOEXEC|self-check/],
    ["a folder", () => Deno.mkdirSync(program), /cannot be run: .*EACCES/],
    [
      "a file that may not be run",
      () => Deno.writeTextFileSync(program, "", { mode: 0o644 }),
      /EACCES/,
    ],
    [
      "a truncated ELF image",
      () => (copy(), Deno.truncateSync(program, 1_000_000)),
      /failed its self-check/,
    ],
    [
      "a binary without its payload",
      () => (copy(), Deno.truncateSync(program, size - 1000)),
      /failed its self-check/,
    ],
    [
      "another program",
      () => Deno.copyFileSync("/bin/true", program),
      /failed its self-check \(exit code 0\)/,
    ],
    [
      "a script that fails",
      () => script("#!/bin/sh\necho wrong libc >&2\nexit 3\n"),
      /exit code 3\): wrong libc/,
    ],
  ];
  let last: string | undefined;
  for (const [what, replace, reason] of replacements) {
    if (exists(program)) Deno.removeSync(program, { recursive: true });
    replace();
    binder.program.signal("SIGUSR1");
    const { lastUpgrade } = await binder.waitFor(({ lastUpgrade }) =>
      lastUpgrade !== null && lastUpgrade.at !== last
    );
    last = lastUpgrade?.at;
    assertStrictEquals(lastUpgrade?.ok, false, what);
    assertMatch(lastUpgrade.message, reason, what);
    assertStrictEquals((await bindOnce(binder.sock, { address, port: 2080 })).result, true, what);
  }
  Deno.removeSync(program);
  copy();
  binder.program.signal("SIGUSR1");
  await binder.waitFor(({ upgrades }) => upgrades === 1);
  assertStrictEquals((await bindOnce(binder.sock, { address, port: 2080 })).result, true);
});
