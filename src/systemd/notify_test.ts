import { assert, assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { leavesNoDescriptors, openFile } from "../../tests/support/descriptors.ts";
import { silentLog } from "../../tests/support/local_binder.ts";
import { NotifySocket } from "../../tests/support/notify_socket.ts";
import { settled } from "../../tests/support/poller.ts";
import { tempDir } from "../../tests/support/temp_dir.ts";
import { monotonicMicroseconds } from "../../ffi/clock.ts";
import { createMemfd } from "../../ffi/memfd.ts";
import { Poller } from "../../ffi/poll.ts";
import { createLog } from "../log.ts";
import { Notifier } from "./notify.ts";

const poller = new Poller();

for (const abstract of [false, true]) {
  Deno.test(`each call is one datagram, ${abstract ? "abstract name" : "path"}`, async () => {
    await leavesNoDescriptors(async () => {
      await using socket = new NotifySocket(abstract);
      const notifier = new Notifier(poller, silentLog, { NOTIFY_SOCKET: socket.path });
      assertStrictEquals(notifier.enabled, true);
      const before = monotonicMicroseconds();
      notifier.reloading();
      const [[reloading, time = ""] = []] = socket.takeAll();
      assertStrictEquals(reloading, "RELOADING=1");
      const sent = BigInt(/^MONOTONIC_USEC=(\d+)$/.exec(time)?.[1] ?? -1);
      assert(before <= sent && sent <= monotonicMicroseconds(), time);
      notifier.ready();
      notifier.status("holding\n2 sockets");
      notifier.status("holding\n2 sockets");
      notifier.status("holding 3 sockets");
      notifier.extendTimeout(1500.2);
      notifier.stopping();
      notifier.removeFds("tcp-0.0.0.0-80");
      assertStrictEquals(notifier.underWay, undefined);
      assertEquals(socket.takeAll(), [
        ["READY=1"],
        ["STATUS=holding 2 sockets"],
        ["STATUS=holding 3 sockets"],
        ["EXTEND_TIMEOUT_USEC=1501000"],
        ["STOPPING=1"],
        ["FDSTOREREMOVE=1", "FDNAME=tcp-0.0.0.0-80"],
      ]);
    });
  });
}

Deno.test("descriptors go into the store as copies, with their name", async () => {
  await using socket = new NotifySocket();
  const notifier = new Notifier(poller, silentLog, { NOTIFY_SOCKET: socket.path });
  using one = createMemfd("one");
  using two = createMemfd("two");
  notifier.storeFds("name", [one, two]);
  const datagram = socket.take();
  assertEquals(datagram?.lines, ["FDSTORE=1", "FDNAME=name", "FDPOLL=0"]);
  assertEquals(datagram?.fds.map(openFile), [one, two].map(openFile));
  datagram?.fds.forEach((fd) => fd.close());
});

Deno.test("what the receiver has no room for follows later, in order", async () => {
  await using socket = new NotifySocket();
  const notifier = new Notifier(poller, silentLog, { NOTIFY_SOCKET: socket.path });
  const closed = createMemfd("closed");
  const sent: string[][] = [];
  // The kernel's limit of a queue (net.unix.max_dgram_qlen), which nobody can say in advance.
  for (let count = 0; !notifier.underWay; count++) {
    notifier.status(`number ${count}`);
    sent.push([`STATUS=number ${count}`]);
  }
  const end = notifier.underWay;
  notifier.storeFds("closed", [closed]);
  closed.close();
  notifier.ready();
  sent.push(["READY=1"]);
  const received: string[][] = [];
  while (received.length < sent.length) received.push((await socket.next()).lines);
  assertEquals(received, sent);
  await end;
  assertStrictEquals(notifier.underWay, undefined);
  await settled(poller);
});

Deno.test("without NOTIFY_SOCKET nothing is sent", () => {
  for (const environment of [{}, { NOTIFY_SOCKET: "" }]) {
    const notifier = new Notifier(poller, silentLog, environment);
    assertStrictEquals(notifier.enabled, false);
    notifier.ready();
    assertStrictEquals(notifier.underWay, undefined);
  }
});

Deno.test("a receiver that is gone is one line in the log, and no error", () => {
  using folder = tempDir();
  const lines: string[] = [];
  const log = createLog({ format: "text", level: "debug" }, (line) => lines.push(line));
  for (const path of [folder.file("missing"), "no path", "x".repeat(500)]) {
    lines.length = 0;
    const notifier = new Notifier(poller, log, { NOTIFY_SOCKET: path });
    notifier.ready();
    notifier.stopping();
    assertStrictEquals(lines.length, 1, lines.join(""));
    assertMatch(lines[0] ?? "", / warn cannot notify systemd error=/);
  }
});

Deno.test("the watchdog hears twice in its time, if it is ours", async () => {
  const environments = [
    { env: { WATCHDOG_USEC: "40000" }, hears: true },
    { env: { WATCHDOG_USEC: "40000", WATCHDOG_PID: String(Deno.pid) }, hears: true },
    { env: { WATCHDOG_USEC: "40000", WATCHDOG_PID: "1" }, hears: false },
    { env: { WATCHDOG_USEC: "0" }, hears: false },
    { env: { WATCHDOG_USEC: "soon" }, hears: false },
  ];
  for (const { env, hears } of environments) {
    await using socket = new NotifySocket();
    using notifier = new Notifier(poller, silentLog, { NOTIFY_SOCKET: socket.path, ...env });
    assertStrictEquals(notifier.watched, hears);
    if (!hears) continue;
    const start = performance.now();
    for (let count = 0; count < 4; count++) {
      assertEquals((await socket.next()).lines, ["WATCHDOG=1"]);
    }
    assert(performance.now() - start >= 4 * 20 - 1);
  }
});
