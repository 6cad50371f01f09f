import { assertEquals } from "@std/assert";
import {
  exited,
  failed,
  KILLED,
  OK,
  prepared,
  ready,
  reload,
  Scenario,
  started,
  stop,
  timeout,
} from "../../tests/support/supervisor.ts";
import type { Event } from "./events.ts";

Deno.test("stop: the server ends gracefully, and its exit code is passed on", () => {
  for (const [status, code] of [[OK, 0], [{ code: 3 }, 3], [KILLED, 137]] as const) {
    const it = new Scenario();
    it.serve(10);
    it.expect([stop], ["soft 10", "drain timer 10"]);
    it.expect([reload], []);
    it.expect([exited(10, status)], [`exit ${code}`]);
  }
});

Deno.test("a stop with a delay: the server serves on, and is not reloaded", () => {
  const it = new Scenario({ stopDelay: 5 });
  it.serve(10);
  it.expect([stop], ["stop timer 0"]);
  it.expect([reload], []);
  it.expect([timeout("stop", 0)], ["soft 10", "drain timer 10"]);
  it.expect([exited(10, OK)], ["exit 0"]);
});

Deno.test("a delayed stop ends early with the server, or by a second one", () => {
  const ended = new Scenario({ stopDelay: 5 });
  ended.serve(10);
  ended.expect([stop], ["stop timer 0"]);
  ended.expect([exited(10, { code: 3 })], ["exit 3"]);

  const hard = new Scenario({ stopDelay: 5 });
  hard.serve(10);
  hard.expect([stop, stop], ["stop timer 0", "kill timer 10", "hard 10"]);
  hard.expect([timeout("stop", 0)], []);
});

Deno.test("a stop waits for no delay where nothing serves yet", () => {
  const it = new Scenario({ stopDelay: 5 });
  it.expect([reload, prepared, started(10)], ["prepare", "start #1", "ready timer 10"]);
  it.expect([stop], ["soft 10", "drain timer 10"]);
});

Deno.test("stop while the first generation is prepared ends at once", () => {
  const it = new Scenario();
  it.expect([stop], ["exit 0"]);
  const preparing = new Scenario();
  preparing.expect([reload, stop], ["prepare", "exit 0"]);
  preparing.expect([prepared, failed], []);
});

Deno.test("stop while the first generation starts waits for it", () => {
  const it = new Scenario();
  it.expect([reload, prepared, started(10)], ["prepare", "start #1", "ready timer 10"]);
  it.expect([stop], ["soft 10", "drain timer 10"]);
  it.expect([ready(10), timeout("ready", 10)], []);
  it.expect([exited(10, { signal: 10 })], ["rollback", "exit 0"]);
});

Deno.test("stop between preparation and start ends what was started then", () => {
  const it = new Scenario();
  it.serve(10);
  it.expect([reload, prepared], ["prepare", "start #2"]);
  it.expect([stop], ["soft 10", "drain timer 10"]);
  it.expect([started(20)], ["soft 20", "drain timer 20"]);
  it.expect([exited(10, { code: 3 })], []);
  it.expect([exited(20, { signal: 10 })], ["rollback", "exit 3"]);

  const hard = new Scenario();
  hard.serve(10);
  hard.expect([reload, prepared], ["prepare", "start #2"]);
  hard.expect([stop, stop], ["soft 10", "drain timer 10", "kill timer 10", "hard 10"]);
  hard.expect([started(20)], ["kill timer 20", "hard 20"]);
});

Deno.test("stop during a reload's preparation: its outcome does not matter any more", () => {
  for (const outcome of [prepared, failed]) {
    const it = new Scenario();
    it.serve(10);
    it.expect([reload, stop], ["prepare", "soft 10", "drain timer 10"]);
    it.expect([outcome], ["rollback"]);
    it.expect([exited(10, OK)], ["exit 0"]);
  }
  const slow = new Scenario();
  slow.serve(10);
  slow.expect([reload, stop], ["prepare", "soft 10", "drain timer 10"]);
  slow.expect([exited(10, OK)], ["exit 0"]);
});

Deno.test("stop while a successor settles ends both, with the server's exit code", () => {
  const it = new Scenario();
  it.serve(10);
  it.startNext(20);
  it.expect([ready(20)], ["settle timer 20"]);
  it.expect([stop], ["soft 10", "drain timer 10", "soft 20", "drain timer 20"]);
  it.expect([timeout("settle", 20)], []);
  it.expect([exited(20, { code: 4 })], ["rollback"]);
  it.expect([exited(10, { code: 3 })], ["exit 3"]);
});

Deno.test("stop waits for generations that drain, and does not tell them again", () => {
  const it = new Scenario();
  it.serve(10);
  it.replace(10, 20);
  it.expect([stop], ["soft 20", "drain timer 20"]);
  it.expect([exited(20, { code: 3 })], []);
  it.expect([exited(10, OK)], ["exit 3"]);
});

Deno.test("a second stop is a hard one for all, and a kill follows", () => {
  const it = new Scenario();
  it.serve(10);
  it.replace(10, 20);
  it.startNext(30);
  it.expect([stop], ["soft 20", "drain timer 20", "soft 30", "drain timer 30"]);
  it.expect(
    [stop],
    ["kill timer 10", "hard 10", "kill timer 20", "hard 20", "kill timer 30", "hard 30"],
  );
  it.expect([timeout("kill", 20)], ["kill 20"]);
  it.expect([exited(10, OK), exited(30, OK)], ["rollback"]);
  it.expect([exited(20, KILLED)], ["exit 137"]);
});

Deno.test("the drain cap: a hard stop, then a kill", () => {
  for (const stopping of [false, true]) {
    const it = new Scenario();
    it.serve(10);
    if (stopping) it.expect([stop], ["soft 10", "drain timer 10"]);
    else it.replace(10, 20);
    it.expect([timeout("drain", 10)], ["kill timer 10", "hard 10"]);
    it.expect([timeout("kill", 10)], ["kill 10"]);
    it.expect([exited(10, KILLED)], stopping ? ["exit 137"] : []);
  }
});

Deno.test("a hard stop is not repeated at the drain cap", () => {
  const it = new Scenario();
  it.serve(10);
  it.expect([stop, stop], ["soft 10", "drain timer 10", "kill timer 10", "hard 10"]);
  it.expect([timeout("drain", 10)], []);
});

Deno.test("one generation more than may drain ends the oldest one's drain", () => {
  const it = new Scenario({ maxRetired: 2 });
  it.serve(10);
  it.replace(10, 20);
  it.replace(20, 30);
  const next = (before: number, after: number, oldest: number) => {
    it.startNext(after);
    it.expect([ready(after), timeout("settle", after)], [
      `settle timer ${after}`,
      `commit ${after}`,
      `soft ${before}`,
      `drain timer ${before}`,
      `kill timer ${oldest}`,
      `hard ${oldest}`,
    ]);
  };
  next(30, 40, 10);
  next(40, 50, 20); // though the first one has not ended yet
  it.expect([exited(10, OK), exited(20, OK), exited(30, OK)], []);
  it.replace(50, 60);
});

Deno.test("at a stop clients are told before the server is", () => {
  const it = new Scenario({ stopDelay: 5 });
  it.serve(10);
  const told = (event: Event) => it.supervisor.handle(event).map((action) => action.do);
  assertEquals(told(stop).filter((one) => one !== "log"), ["timer"]);
  assertEquals(told(timeout("stop", 0)).filter((one) => one !== "log"), [
    "withdraw",
    "signal",
    "timer",
  ]);
});

Deno.test("no generation may drain: the old one is stopped at once", () => {
  const it = new Scenario({ maxRetired: 0 });
  it.serve(10);
  it.startNext(20);
  it.expect([ready(20), timeout("settle", 20)], [
    "settle timer 20",
    "commit 20",
    "soft 10",
    "drain timer 10",
    "kill timer 10",
    "hard 10",
  ]);
});

Deno.test("stop after the last start has failed waits for what drains, too", () => {
  const it = new Scenario();
  it.serve(10);
  it.replace(10, 20);
  it.startNext(30);
  it.expect([exited(20, OK)], []);
  it.expect([timeout("ready", 30)], ["soft 30", "drain timer 30", "rollback"]);
  it.expect([stop, exited(30, KILLED)], []);
  it.expect([exited(10, OK)], ["exit 1"]);
});
