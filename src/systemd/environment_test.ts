import { assertEquals } from "@std/assert";
import { withoutServiceVariables } from "./environment.ts";

Deno.test("what systemd tells a service does not reach its children, all else does", () => {
  const kept = { PATH: "/bin", JOURNAL_STREAM: "9:1", MY_LISTEN_FDS: "1", NOTIFY_SOCKETS: "x" };
  const own = {
    NOTIFY_SOCKET: "/run/systemd/notify",
    WATCHDOG_USEC: "1",
    WATCHDOG_PID: "1",
    LISTEN_PID: "1",
    LISTEN_FDS: "1",
    LISTEN_FDNAMES: "a",
  };
  assertEquals(withoutServiceVariables({ ...own, ...kept }), kept);
});
