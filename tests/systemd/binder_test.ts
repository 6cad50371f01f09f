/** The binder under a systemd that the test plays: what it is told, stores, and passes on. */

import { assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { openFile } from "../support/descriptors.ts";
import { multibinder, startBinder } from "../support/binder.ts";
import { bindOnce, ControlConnection } from "../support/control_client.ts";
import { NotifySocket } from "../support/notify_socket.ts";
import { listeningSockets, tcpListeners } from "../support/process.ts";
import { runProgram, startProgram } from "../support/program.ts";
import type { BinderStatus } from "../support/status.ts";
import { loopbackHost, tempDir } from "../support/temp_dir.ts";
import { waitForStatus } from "../support/wait_for_status.ts";
import type { Fd } from "../../ffi/fd.ts";

/** A datagram of the store, without the other ones on the way to it. */
async function nextStored(systemd: NotifySocket): Promise<{ name: string; fd: Fd }> {
  for (;;) {
    const { lines, fds: [fd] } = await systemd.next();
    if (!lines.includes("FDSTORE=1") || fd === undefined) continue;
    return { name: lines.find((line) => line.startsWith("FDNAME="))?.slice(7) ?? "", fd };
  }
}

/** Words that start a program with descriptors passed as systemd does, until the end of the scope. */
function passing(
  stored: readonly { name: string; fd: Fd }[],
): Disposable & { words: string[] } {
  const copies = stored.map(({ fd }) => {
    const copy = fd.duplicate(100);
    copy.closeOnExec = false;
    return copy;
  });
  const moves = copies.map(({ number }, index) => `exec ${3 + index}<&${number} ${number}<&-`);
  const names = stored.map(({ name }) => name).join(":");
  const run = `LISTEN_PID=$$ LISTEN_FDS=${stored.length} LISTEN_FDNAMES='${names}' exec "$@"`;
  return {
    words: ["bash", "-c", [...moves, run].join("\n"), "bash"],
    [Symbol.dispose]: () => copies.forEach((copy) => copy.close()),
  };
}

Deno.test("systemd is told of the start, each socket, an upgrade and the stop", async () => {
  await using systemd = new NotifySocket();
  const host = loopbackHost();
  await using binder = await startBinder([`${host}:80`], {
    env: { NOTIFY_SOCKET: systemd.path },
    args: ["--allow", `${host}:81`],
  });
  const { pid } = binder.program;
  const first = await systemd.next();
  assertEquals(first.lines, ["FDSTORE=1", `FDNAME=tcp-${host}-80`, "FDPOLL=0"]);
  const held = () => tcpListeners(pid);
  assertEquals(
    first.fds.map(openFile),
    held().map((inode) => `socket:[${inode}]`),
  );
  first.fds.forEach((fd) => fd.close());
  assertEquals(await systemd.until("READY=1"), [["STATUS=holding 1 socket"], ["READY=1"]]);

  await bindOnce(binder.sock, { address: host, port: 81 });
  assertEquals(await systemd.until("STATUS=holding 2 sockets"), [
    ["FDSTORE=1", `FDNAME=tcp-${host}-81`, "FDPOLL=0"],
    ["STATUS=holding 2 sockets"],
  ]);
  // What is held already is not stored again.
  await bindOnce(binder.sock, { address: host, port: 81 });

  binder.program.signal("SIGUSR1");
  const [reloading, ...rest] = await systemd.until("READY=1");
  assertMatch(reloading?.join(" ") ?? "", /^RELOADING=1 MONOTONIC_USEC=\d+$/);
  assertEquals(rest, [["STATUS=holding 2 sockets"], ["READY=1"]]);
  assertStrictEquals(held().length, 2);

  assertStrictEquals((await binder.program.end("SIGTERM")).code, 0);
  assertEquals(systemd.takeAll(), [["STOPPING=1"]]);
});

for (const signal of ["SIGKILL", "SIGTERM"] as const) {
  Deno.test(`after ${signal} the next binder has the same sockets from the store`, async () => {
    await using systemd = new NotifySocket();
    using folder = tempDir();
    const host = loopbackHost();
    const site = folder.file("site.sock");
    const sock = folder.file("control.sock");
    const env = { NOTIFY_SOCKET: systemd.path };
    const addresses = [`${host}:80`, `unix:${site}`, `udp:${host}:80`];
    const stored: { name: string; fd: Fd }[] = [];
    const sockets = (pid: number) =>
      listeningSockets(pid).filter(({ address }) => address !== sock)
        .map(({ inode }) => inode).sort();
    let before: number[];
    {
      await using binder = await startBinder([...addresses, `${host}:81`], { env, sock });
      for (let count = 0; count < 4; count++) stored.push(await nextStored(systemd));
      await systemd.until("READY=1");
      before = sockets(binder.program.pid);
      await binder.program.end(signal);
    }
    assertStrictEquals(before.length, 4);
    // Nobody but the store has the sockets now; a client waits.
    using waiting = await Deno.connect({ hostname: host, port: 80 });
    using local = await Deno.connect({ transport: "unix", path: site });
    systemd.takeAll();

    // One address less: its socket is given up.
    using through = passing(stored);
    const options = { env, sock, through: through.words };
    await using binder = await startBinder(addresses, options);
    const given = sockets(binder.program.pid);
    assertEquals(given, before.filter((inode) => given.includes(inode)));
    assertStrictEquals(given.length, 3);
    assertEquals(await systemd.until("READY=1"), [
      ["FDSTOREREMOVE=1", `FDNAME=tcp-${host}-81`],
      ["STATUS=holding 3 sockets"],
      ["READY=1"],
    ]);
    assertStrictEquals(
      (await bindOnce(sock, { address: host, port: 81 })).error?.data?.code,
      "EACCES",
    );
    assertStrictEquals((await bindOnce(sock, { address: `unix:${site}` })).result, true);
    stored.forEach(({ fd }) => fd.close());
    void [waiting, local];
  });
}

Deno.test("sockets of a unit are what clients may ask for; the control socket may be one", async () => {
  using folder = tempDir();
  const host = loopbackHost();
  const sock = folder.file("control.sock");
  await using program = startProgram([
    ...["systemd-socket-activate", "--listen", `${host}:80`, "--listen", sock],
    ...["--fdname", "web:control", multibinder(), "bind", "--sock", sock],
  ] as [string, ...string[]]);
  await waitForStatus(program, sock, () => true);
  const file = Deno.statSync(sock).ino;
  const ask = async () => {
    using connection = await ControlConnection.open(sock);
    const answers = [];
    for (const port of [80, 81]) answers.push(await connection.bind({ address: host, port }));
    return answers.map((answer) => answer?.error?.data?.code ?? answer?.result);
  };
  assertEquals(await ask(), [true, "EACCES"]);
  // It is the activator's own process now.
  const before = listeningSockets(program.pid);
  assertStrictEquals(before.length, 2);

  program.signal("SIGUSR1");
  await waitForStatus<BinderStatus>(program, sock, ({ upgrades }) => upgrades === 1);
  assertEquals(await ask(), [true, "EACCES"]);
  assertEquals(listeningSockets(program.pid), before);

  assertStrictEquals((await program.end("SIGTERM")).code, 0);
  assertStrictEquals(Deno.statSync(sock).ino, file, "the file is systemd's");
});

Deno.test("a NOTIFY_SOCKET on which nobody listens is a warning", async () => {
  await using binder = await startBinder([], { env: { NOTIFY_SOCKET: "/nowhere" } });
  await binder.program.waitFor(/ warn cannot notify systemd error=.*ENOENT/);
  const { code } = await runProgram([multibinder(), "healthcheck", "--sock", binder.sock]);
  assertStrictEquals(code, 0);
});
