import { assertEquals } from "@std/assert";
import { silentLog } from "../../tests/support/local_binder.ts";
import { NotifySocket } from "../../tests/support/notify_socket.ts";
import { Poller } from "../../ffi/poll.ts";
import { Notifier } from "../systemd/notify.ts";
import { SystemdReporter } from "./systemd_reporter.ts";
import type { Event } from "./events.ts";
import { Supervisor } from "./supervisor.ts";

/** A supervisor of which systemd is told: gives what it hears of each event, without times. */
async function withReporter(
  action: (tell: (event: Event) => string[], reporter: SystemdReporter) => void,
): Promise<void> {
  await using socket = new NotifySocket();
  const limits = {
    ready: 1000,
    settle: 100,
    drain: 2000,
    stopDelay: 30_000,
    maxRetired: 5,
    restart: 1000,
  };
  const supervisor = new Supervisor(limits);
  const notifier = new Notifier(new Poller(), silentLog, { NOTIFY_SOCKET: socket.path });
  const reporter = new SystemdReporter(notifier, supervisor, 3000);
  action((event) => {
    reporter.report(supervisor.handle(event));
    return socket.takeAll().map((lines) =>
      lines.filter((line) => !line.startsWith("MONOTONIC_USEC=")).join(" ")
    );
  }, reporter);
}

const FIRST: Event[] = [{ type: "prepared", preparation: { sockets: [], env: {}, hide: String } }, {
  type: "started",
  pid: 11,
}];
const SECOND: Event[] = [
  { type: "prepared", preparation: { sockets: [], env: {}, hide: String } },
  { type: "started", pid: 12 },
  { type: "ready", pid: 12 },
];

Deno.test("from the start over a reload to the stop, systemd hears each step", async () => {
  await withReporter((tell) => {
    assertEquals(tell({ type: "reload" }), [
      "EXTEND_TIMEOUT_USEC=8000000",
      "STATUS=preparing the first generation",
    ]);
    assertEquals(FIRST.flatMap(tell), ["STATUS=generation 1 starts"]);
    assertEquals(tell({ type: "ready", pid: 11 }), ["READY=1", "STATUS=generation 1 serves"]);

    assertEquals(tell({ type: "reload" }), ["RELOADING=1", "EXTEND_TIMEOUT_USEC=8000000"]);
    assertEquals(SECOND.flatMap(tell), ["STATUS=generation 1 serves, generation 2 starts"]);
    assertEquals(tell({ type: "settle-timeout", pid: 12 }), [
      "READY=1",
      "STATUS=generation 2 serves, 1 draining",
    ]);

    assertEquals(tell({ type: "stop" }), [
      "STOPPING=1",
      "EXTEND_TIMEOUT_USEC=42000000",
      "STATUS=stopping, 2 draining",
    ]);
    assertEquals(tell({ type: "exited", pid: 11, status: { code: 0 } }), [
      "STATUS=stopping, 1 draining",
    ]);
    assertEquals(tell({ type: "stop" }), []);
    assertEquals(tell({ type: "exited", pid: 12, status: { code: 0 } }), [
      "STATUS=stopping, 0 draining",
    ]);
  });
});

Deno.test("a reload that fails ends in READY=1, and the status says why", async () => {
  await withReporter((tell) => {
    [{ type: "reload" } as const, ...FIRST, { type: "ready", pid: 11 } as const].flatMap(tell);
    tell({ type: "reload" });
    assertEquals(tell({ type: "failed", why: "no such\nbackend", exitCode: 1 }), [
      "READY=1",
      "STATUS=generation 1 serves, the last reload failed: no such backend",
    ]);
    // One more was asked for meanwhile: it begins when the first one has ended.
    tell({ type: "reload" });
    tell({ type: "reload" });
    assertEquals(tell({ type: "failed", why: "again", exitCode: 1 }), [
      "READY=1",
      "RELOADING=1",
      "EXTEND_TIMEOUT_USEC=8000000",
      "STATUS=generation 1 serves, the last reload failed: again",
    ]);
  });
});

Deno.test("a start that fails is never ready", async () => {
  await withReporter((tell) => {
    tell({ type: "reload" });
    assertEquals(tell({ type: "failed", why: "no config", exitCode: 1 }), [
      "STATUS=the start failed: no config",
    ]);
  });
});

Deno.test("a server that ends by itself is told of until the next one serves", async () => {
  await withReporter((tell) => {
    [{ type: "reload" } as const, ...FIRST, { type: "ready", pid: 11 } as const].flatMap(tell);
    assertEquals(tell({ type: "exited", pid: 11, status: { signal: 9 } }), [
      "STATUS=the server has ended by itself, starting it again",
    ]);
    tell({ type: "pause-timeout" });
    assertEquals(tell({ type: "failed", why: "bad config", exitCode: 1 }), [
      "STATUS=the start failed: bad config",
    ]);
    assertEquals([{ type: "pause-timeout" } as const, ...SECOND].flatMap(tell), [
      "EXTEND_TIMEOUT_USEC=8000000",
      "STATUS=generation 2 starts, the start failed: bad config",
      "READY=1",
      "STATUS=generation 2 serves",
    ]);
  });
});

Deno.test("a successor is ready at once", async () => {
  await using socket = new NotifySocket();
  const supervisor = new Supervisor({
    ready: 1,
    settle: 1,
    drain: 1,
    stopDelay: 0,
    maxRetired: 1,
    restart: 0,
  });
  supervisor.restore({
    generations: [
      { number: 4, pid: 14, state: "draining" },
      { number: 5, pid: 15, state: "serving" },
    ],
    lastNumber: 5,
  });
  const notifier = new Notifier(new Poller(), silentLog, { NOTIFY_SOCKET: socket.path });
  new SystemdReporter(notifier, supervisor, 1).resumed();
  assertEquals(socket.takeAll(), [["READY=1"], ["STATUS=generation 5 serves, 1 draining"]]);
});
