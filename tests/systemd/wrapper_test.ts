/** The wrapper under a systemd that the test plays. */

import { assert, assertEquals, assertMatch, assertNotMatch, assertStrictEquals } from "@std/assert";
import type { Fd } from "../../ffi/fd.ts";
import { startBinder } from "../support/binder.ts";
import { openFile } from "../support/descriptors.ts";
import { site, startWrapper, tag } from "../support/haproxy.ts";
import { addressOf, get } from "../support/http_client.ts";
import { NotifySocket } from "../support/notify_socket.ts";
import { tcpListeners } from "../support/process.ts";
import { loopbackHost } from "../support/temp_dir.ts";

/** Without signs of life, what depends on the time, and the store, of which there is a test below. */
function steady(datagrams: string[][]): string[] {
  return datagrams.flat().filter((line) =>
    !/^(WATCHDOG=1|MONOTONIC_USEC=\d+|FD(STORE|STOREREMOVE|POLL|NAME)=.*)$/.test(line)
  );
}

Deno.test("systemd is told of the start, reloads, an upgrade and the stop; HAProxy is not", async () => {
  await using systemd = new NotifySocket();
  const target = { hostname: loopbackHost(), port: 80 };
  await using binder = await startBinder([]);
  await using wrapper = await startWrapper(site(tag(target), "one"), {
    sock: binder.sock,
    args: ["--ready-timeout", "10s", "--drain", "7s", "--wait", "2s"],
    env: {
      NOTIFY_SOCKET: systemd.path,
      WATCHDOG_USEC: "10000000",
      LISTEN_FDS: "0",
      LISTEN_PID: "1",
    },
  });
  // wait + 2 * ready + settle, and a margin of 5 s
  const extension = "EXTEND_TIMEOUT_USEC=27020000";
  assertEquals(steady(await systemd.until("STATUS=generation 1 serves")), [
    extension,
    "STATUS=preparing the first generation",
    "STATUS=generation 1 starts",
    "READY=1",
    "STATUS=generation 1 serves",
  ]);
  const environment = Deno.readTextFileSync(`/proc/${(await wrapper.serving()).pid}/environ`);
  assertNotMatch(environment, /NOTIFY_SOCKET|WATCHDOG_|LISTEN_/);

  await wrapper.reload();
  const reload = steady(await systemd.until("STATUS=generation 2 serves"));
  assertEquals(reload.filter((line) => !line.startsWith("STATUS=")), [
    "RELOADING=1",
    extension,
    "READY=1",
  ]);

  wrapper.template = "nonsense";
  await wrapper.reload();
  const failed = steady(await systemd.until("READY=1"));
  assertEquals(failed, ["RELOADING=1", extension, "READY=1"]);
  const [status = ""] = steady([(await systemd.next()).lines]);
  assertMatch(status, /^STATUS=generation 2 serves, the last reload failed: HAProxy refused the/);

  wrapper.program.signal("SIGUSR1");
  assertEquals(steady(await systemd.until("STATUS=generation 2 serves")), [
    "RELOADING=1",
    "READY=1",
    "STATUS=generation 2 serves",
  ]);

  assertStrictEquals((await wrapper.program.end("SIGTERM")).code, 0);
  assertEquals(steady(systemd.takeAll()), [
    "STOPPING=1",
    "EXTEND_TIMEOUT_USEC=17000000",
    "STATUS=stopping, 1 draining",
    "STATUS=stopping, 0 draining",
  ]);
});

Deno.test("signs of life go on across an upgrade", async () => {
  await using systemd = new NotifySocket();
  const target = { hostname: loopbackHost(), port: 80 };
  await using binder = await startBinder([]);
  await using wrapper = await startWrapper(site(tag(target), "one"), {
    sock: binder.sock,
    env: { NOTIFY_SOCKET: systemd.path, WATCHDOG_USEC: "100000" },
  });
  await systemd.until("WATCHDOG=1");
  await systemd.until("WATCHDOG=1");
  wrapper.program.signal("SIGUSR1");
  await systemd.until("RELOADING=1");
  await systemd.until("READY=1");
  await systemd.until("WATCHDOG=1");
});

Deno.test("systemd keeps the sockets that are served, and the next wrapper hands them back", async () => {
  await using systemd = new NotifySocket();
  const target = { hostname: loopbackHost(), port: 80 };
  const address = addressOf(target);
  await using binder = await startBinder([address]);
  const env = { NOTIFY_SOCKET: systemd.path };
  const options = { sock: binder.sock, env };
  const held = () => tcpListeners(binder.program.pid);
  await using first = await startWrapper(site(tag(target), "one"), options);
  let stored: Fd | undefined;
  while (stored === undefined) {
    const { lines, fds } = await systemd.next();
    if (lines.includes("FDSTORE=1")) [stored] = fds;
  }
  using kept = stored;
  assertEquals(held(), [Number(/\d+/.exec(openFile(kept))?.[0])]);
  // A reload on the same sockets stores nothing anew.
  systemd.takeAll();
  await first.reload();
  assert(!systemd.takeAll().flat().includes("FDSTORE=1"));
  // A successor does, since what waits to be sent ends with its predecessor.
  first.program.signal("SIGUSR1");
  await systemd.until("FDSTORE=1");

  // Wrapper, server and binder are gone: nobody but systemd has the socket.
  await first.drained();
  Deno.kill((await first.serving()).pid, "SIGKILL");
  await first.program.exited;
  const before = held();
  await binder.program.end("SIGKILL");
  const nextBinder = startBinder([address], { sock: binder.sock });
  using copy = kept.duplicate(100);
  copy.closeOnExec = false;
  const run = `exec 3<&${copy.number} ${copy.number}<&-
LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=multibinder-held exec "$@"`;
  await using _next = await startWrapper(site(tag(target), "two"), {
    ...options,
    through: ["bash", "-c", run, "bash"],
  });
  await using next = await nextBinder;
  assertEquals(tcpListeners(next.program.pid), before);
  assertStrictEquals(await get(target), "two");
});
