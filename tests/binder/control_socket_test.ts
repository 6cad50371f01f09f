/** The file of the control socket: its place, its mode, and whose it is. */

import { assert, assertEquals, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import { multibinder, startBinder } from "../support/binder.ts";
import { bindOnce } from "../support/control_client.ts";
import { until } from "../support/process_status.ts";
import { runProgram, startProgram } from "../support/program.ts";
import { loopbackHost, tempDir } from "../support/temp_dir.ts";
import type { BinderStatus } from "../support/status.ts";
import { waitForStatus } from "../support/wait_for_status.ts";

Deno.test("the control socket is named by --sock, else by MULTIBINDER_SOCK, or is the only argument", async () => {
  using folder = tempDir();
  const [one, two, three] = [folder.file("one"), folder.file("two"), folder.file("three")];
  const env = { MULTIBINDER_SOCK: two };
  await using option = startProgram([multibinder(), "bind", "--sock", one], { env });
  await using variable = startProgram([multibinder(), "bind"], { env });
  await using original = startProgram([multibinder(), three], { env });
  for (const [program, path] of [[option, one], [variable, two], [original, three]] as const) {
    const { sock } = await waitForStatus<BinderStatus>(program, path, () => true);
    assertStrictEquals(sock, path);
    const answer = await bindOnce(path, { address: loopbackHost(), port: 2080 });
    assertStrictEquals(answer.result, true);
  }
});

Deno.test("the control socket's mode is right from its first moment on, whatever the mask", async () => {
  const cases = [["000", [], 0o600], ["077", ["--mode", "0660"], 0o660]] as const;
  for (const [mask, args, mode] of cases) {
    using folder = tempDir();
    const sock = folder.file("control.sock");
    using events = Deno.watchFs(folder.path);
    const through = ["sh", "-c", `umask ${mask} && exec "$0" "$@"`];
    await using _binder = await startBinder([], { sock, args, through });
    assertStrictEquals((Deno.statSync(sock).mode ?? 0) & 0o777, mode);
    // Events keep their order, so nothing that happened to the socket comes after this file's.
    Deno.writeTextFileSync(folder.file("end"), "");
    const seen = [];
    for await (const { kind, paths } of events) {
      if (paths.includes(folder.file("end"))) break;
      if (paths.includes(sock) && kind !== "access") seen.push(kind);
    }
    assertEquals(seen, ["create"], "and it was not changed since it was made");
  }
});

Deno.test("--group gives it to a group", async () => {
  const gid = Deno.uid() === 0 ? 65534 : Deno.gid() ?? 0;
  await using binder = await startBinder([], { args: ["--group", String(gid), "--mode=0660"] });
  const info = Deno.statSync(binder.sock);
  assertEquals([info.gid, (info.mode ?? 0) & 0o777], [gid, 0o660]);
});

Deno.test("a copy that a killed process has left for a moment is waited for", async () => {
  using folder = tempDir();
  const sock = folder.file("control.sock");
  // Whoever listened has ended at once; its child has the socket until somebody has looked who listens.
  const code = "import os, socket, sys\n" +
    "listener = socket.socket(socket.AF_UNIX)\n" +
    "listener.bind(sys.argv[1])\n" +
    "listener.listen()\n" +
    "if os.fork() == 0: os.closerange(0, 3); listener.accept()\n";
  await using server = startProgram(["python3", "-c", code, sock]);
  assertStrictEquals((await server.exited).code, 0);
  await using _binder = await startBinder([], { sock });
});

Deno.test("SIGTERM and SIGINT remove it and end with 0", async () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    await using binder = await startBinder();
    assertEquals(await binder.program.end(signal), { code: 0, signal: null });
    assertThrows(() => Deno.lstatSync(binder.sock), Deno.errors.NotFound);
  }
});

Deno.test("another binder's is not removed", async () => {
  using folder = tempDir();
  const sock = folder.file("control.sock");
  await using first = await startBinder([], { sock });
  Deno.removeSync(sock);
  await using second = await startBinder([], { sock });
  assertStrictEquals((await first.program.end("SIGTERM")).code, 0);
  const answer = await bindOnce(sock, { address: loopbackHost(), port: 2080 });
  assertStrictEquals(answer.result, true);
  await second.program.end("SIGTERM");
  assertThrows(() => Deno.lstatSync(sock), Deno.errors.NotFound);
});

Deno.test("a stale one is replaced", async () => {
  using folder = tempDir();
  const sock = folder.file("control.sock");
  {
    await using killed = await startBinder([], { sock });
    await killed.program.end("SIGKILL");
  }
  assert(Deno.lstatSync(sock).isSocket);
  await using _binder = await startBinder([], { sock });
  assertStrictEquals((await bindOnce(sock, { address: loopbackHost(), port: 2080 })).result, true);
  assertEquals([...Deno.readDirSync(folder.path)].map(({ name }) => name), ["control.sock"]);
});

Deno.test("a live one is refused, and its binder is unharmed", async () => {
  await using binder = await startBinder();
  const refused = await runProgram([multibinder(), "bind", "--sock", binder.sock]);
  assertStrictEquals(refused.code, 1);
  assertMatch(refused.stderr, /it is served by multibinder \(pid \d+\) \(EADDRINUSE\)/);
  const answer = await bindOnce(binder.sock, { address: loopbackHost(), port: 2080 });
  assertStrictEquals(answer.result, true);
});

Deno.test("any other file in its place is left alone", async () => {
  using folder = tempDir();
  const place = folder.file("place");
  const fill: Record<string, () => void> = {
    "a regular file": () => Deno.writeTextFileSync(place, "precious"),
    "an empty file": () => Deno.writeTextFileSync(place, ""),
    "a folder": () => Deno.mkdirSync(place),
    "a link to nothing": () => Deno.symlinkSync(folder.file("nothing"), place),
    "a link to a file": () => Deno.symlinkSync(multibinder(), place),
  };
  for (const [what, put] of Object.entries(fill)) {
    put();
    const before = Deno.lstatSync(place);
    const { code, stderr } = await runProgram([multibinder(), "bind", "--sock", place]);
    assertStrictEquals(code, 1, what);
    assertMatch(stderr, /the file exists and is not a socket; it is left alone/, what);
    const after = Deno.lstatSync(place);
    assertEquals([after.ino, after.size, after.mtime], [before.ino, before.size, before.mtime]);
    Deno.removeSync(place);
  }
});

Deno.test("of several started at once on a stale one, exactly one serves", async () => {
  for (let round = 0; round < 5; round++) {
    using folder = tempDir();
    const sock = folder.file("control.sock");
    {
      await using killed = await startBinder([], { sock });
      await killed.program.end("SIGKILL");
    }
    await using programs = new AsyncDisposableStack();
    const all = Array.from(
      { length: 3 },
      () => programs.use(startProgram([multibinder(), "bind", "--sock", sock])),
    );
    await until(() => all.filter(({ ended }) => ended).length >= 2);
    const winner = all.find(({ ended }) => !ended);
    assert(winner !== undefined, "none of 3 serves");
    const { pid } = await waitForStatus<BinderStatus>(winner, sock, () => true);
    assertStrictEquals(pid, winner.pid);
    const { result } = await bindOnce(sock, { address: loopbackHost(), port: 2080 });
    assertStrictEquals(result, true);
    await winner.end("SIGTERM");
    assertEquals([...Deno.readDirSync(folder.path)], []);
  }
});
