/** Descriptors whose close waits, from a stranger: the binder closes none of them itself. */

import { assertEquals, assertNotMatch } from "@std/assert";
import "../support/libc.ts";
import { type Binder, startBinder } from "../support/binder.ts";
import { ControlConnection } from "../support/control_client.ts";
import { isServed } from "../support/crowd.ts";
import { exists } from "../support/files.ts";
import { openFds } from "../support/process.ts";
import { until } from "../support/process_status.ts";
import { startProgram } from "../support/program.ts";
import { hasFuse, SCRIPT, STRANGER, Stranger } from "../support/stranger.ts";
import { loopbackHost, tempDir } from "../support/temp_dir.ts";
import { ignoreUnless } from "../support/users.ts";

const ignore = ignoreUnless(Deno.uid() === 0, "to be several users needs root");
const canServeFiles = !ignoreUnless(hasFuse(), "/dev/fuse is not there");

const KINDS = [
  "lingering",
  "nested",
  "nested-twice",
  "listening",
  ...canServeFiles ? ["flushed"] : [],
];
const WAYS = ["with", "after", "urgent"];

/** What a stranger sends; the half message is given up together with its connection. */
const TEXTS = [
  '{"method":"status","id":1}',
  '{"method":"adopt","id":1,"params":[]}',
  "{",
  "garbage",
];

/** Has a stranger send every kind in every way, and looks after each how the binder does. */
async function survives(binder: Binder, address: string, stranger: Stranger): Promise<void> {
  for (const [index, kind] of KINDS.entries()) {
    for (const [turn, way] of WAYS.entries()) {
      const text = TEXTS[(index + turn) % TEXTS.length] ?? "";
      // The stranger goes before its connection is accepted: nobody else has the descriptor any more, and no
      // option of the accepted connection has kept it away.
      binder.program.signal("SIGSTOP");
      await stranger.send(binder.sock, kind, way, text);
      binder.program.signal("SIGCONT");
      await isServed(binder, address);
    }
  }
}

const STANDINGS = [
  ["denied", []],
  ["allowed", ["--allow-uid", STRANGER]],
  ["let hand sockets back", ["--adopt-uid", STRANGER]],
] as const;

for (const [who, args] of STANDINGS) {
  Deno.test({
    name: `no descriptor of a user who is ${who} is waited for`,
    ignore,
    async fn() {
      const address = loopbackHost();
      await using binder = await startBinder([`${address}:80`], {
        args: ["--mode", "0666", ...args],
      });
      const { program, sock } = binder;
      await using stranger = new Stranger();
      const before = openFds(program.pid).size;
      await survives(binder, address, stranger);
      await until(() => openFds(program.pid).size === before);

      // With such a connection open it upgrades, and with another one it ends.
      program.signal("SIGSTOP");
      await stranger.send(sock, "nested", "after", "{");
      program.signal("SIGUSR1");
      program.signal("SIGCONT");
      await binder.waitFor(({ upgrades }) => upgrades === 1);
      await isServed(binder, address);
      program.signal("SIGSTOP");
      await stranger.send(sock, "nested-twice", "with", "{");
      program.signal("SIGTERM");
      assertEquals(await program.end("SIGCONT"), { code: 0, signal: null });
    },
  });
}

Deno.test({
  name: "more of root's files that do not answer than there are threads stop nothing",
  ignore: ignore || !canServeFiles,
  async fn() {
    const address = loopbackHost();
    await using binder = await startBinder([`${address}:80`]);
    await using root = new Stranger("0");
    for (let round = 0; round < 40; round++) {
      await root.send(binder.sock, "flushed", "with", '{"method":"status","id":1}');
      await isServed(binder, address);
    }
  },
});

Deno.test({
  name: "who waits at a UNIX socket that is given up is not waited for",
  ignore,
  async fn() {
    const address = loopbackHost();
    using folder = tempDir();
    const [path, last] = [folder.file("a.sock"), folder.file("b.sock")];
    await using binder = await startBinder([`${address}:80`, `unix:${last}`], {
      args: ["--allow", "*"],
    });
    using client = await ControlConnection.open(binder.sock);
    await using stranger = new Stranger();
    for (let round = 0; round < 2; round++) {
      const bound = await client.bind({ address: `unix:${path}` });
      assertEquals(bound?.result, true);
      Deno.chmodSync(path, 0o666);
      await stranger.send(path, "nested", "with", "x");
      await client.send(
        JSON.stringify({ method: "unbind", id: 1, params: [{ address: `unix:${path}` }] }),
      );
      assertEquals((await client.receive())?.result, [`unix:${path}`]);
      await isServed(binder, address, client);
    }
    Deno.chmodSync(last, 0o666);
    await stranger.send(last, "nested", "with", "x");
    assertEquals(await binder.program.end("SIGTERM"), { code: 0, signal: null });
    assertEquals(exists(last), false, "nobody serves it, and its file is gone");
  },
});

Deno.test({
  name: "a program that knows nothing of this is stopped by each",
  ignore,
  async fn() {
    for (const kind of KINDS.filter((kind) => /^nested/.test(kind))) {
      using folder = tempDir();
      const path = folder.file("socket");
      await using naive = startProgram(["python3", SCRIPT, "naive", path]);
      await naive.waitFor(/listening/);
      await using stranger = new Stranger();
      naive.signal("SIGSTOP");
      await stranger.send(path, kind, "with", "{");
      naive.signal("SIGCONT");
      // The message is there, and it does not come back from reading it or from its close.
      await until(() => HANGS.test(callOf(naive.pid)));
      assertNotMatch(naive.stdout, /closed/);
    }
  },
});

/** recvfrom(2) or close(2), on x86_64 and aarch64. */
const HANGS = /^(45|3|207|57) /;

/** The system call that a process is in. */
function callOf(pid: number): string {
  return Deno.readTextFileSync(`/proc/${pid}/syscall`);
}
