import { assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import {
  exited,
  failed,
  KILLED,
  LIMITS,
  OK,
  prepared,
  ready,
  reload,
  Scenario,
  started,
  stop,
  timeout,
  unready,
} from "../../tests/support/supervisor.ts";
import { HARD_STOP_TIME } from "./events.ts";
import type { State } from "./step.ts";
import { transition } from "./supervisor.ts";

Deno.test("the first generation serves as soon as it is up", () => {
  const it = new Scenario();
  it.serve(10);
  assertEquals(it.logged, ["started", "ready", "serving"]);
});

Deno.test("a reload: the new generation settles, then the old one drains", () => {
  const it = new Scenario();
  it.serve(10);
  it.startNext(20);
  it.expect([ready(20)], ["settle timer 20"]);
  it.expect([timeout("settle", 20)], ["commit 20", "soft 10", "drain timer 10"]);
  it.expect([exited(10, OK)], []);
  assertEquals(it.logged.slice(-3), ["reloaded", "draining", "drained"]);
  it.replace(20, 30);
});

Deno.test("without a settle time the new generation serves at once", () => {
  const it = new Scenario({ settle: 0 });
  it.serve(10);
  it.startNext(20);
  it.expect([ready(20)], ["commit 20", "soft 10", "drain timer 10"]);
});

Deno.test("a failed preparation leaves the old generation alone", () => {
  const it = new Scenario();
  it.serve(10);
  it.expect([reload, failed], ["prepare", "rollback"]);
  assertMatch(it.logged.at(-1) ?? "", /reload failed, the old generation goes on/);
  it.replace(10, 20);
});

Deno.test("a failed first start ends with its exit code", () => {
  const it = new Scenario();
  it.expect([reload, failed], ["prepare", "rollback", "exit 7"]);
  it.expect([reload, stop], []);
});

Deno.test("a generation that ends before it is up, or while it settles, is given up", () => {
  for (const status of [OK, { code: 1 }, KILLED]) {
    for (const before of [[], [ready(20)]]) {
      const it = new Scenario();
      it.serve(10);
      it.startNext(20);
      before.forEach((event) => it.expect([event], ["settle timer 20"]));
      it.expect([exited(20, status)], ["rollback"]);
      it.expect([ready(20), timeout("settle", 20), timeout("ready", 20)], []);
      it.replace(10, 30);
    }
  }
});

Deno.test("a first generation that ends before it is up ends all, and never with success", () => {
  for (const [status, code] of [[OK, 1], [{ code: 3 }, 3], [KILLED, 137]] as const) {
    const it = new Scenario();
    it.expect([reload, prepared, started(10)], ["prepare", "start #1", "ready timer 10"]);
    it.expect([exited(10, status)], ["rollback", `exit ${code}`]);
  }
});

Deno.test("a generation that is not up in time has seconds for what it may have accepted", () => {
  const it = new Scenario();
  it.serve(10);
  it.startNext(20);
  const actions = it.expect([timeout("ready", 20)], ["soft 20", "drain timer 20", "rollback"]);
  const cap = actions.find((action) => action.do === "timer");
  assertStrictEquals(cap?.ms, Math.min(LIMITS.drain, HARD_STOP_TIME));
  it.expect([ready(20)], []);
  it.startNext(30);
  it.expect([timeout("drain", 20)], ["kill timer 20", "hard 20"]);
  it.expect([timeout("kill", 20)], ["kill 20"]);
  it.expect([exited(20, KILLED)], []);
  it.expect([ready(30)], ["settle timer 30"]);
});

Deno.test("a generation of which nobody will tell whether it is up is given up at once", () => {
  const it = new Scenario();
  it.serve(10);
  it.startNext(20);
  it.expect([unready(10), unready(30)], []);
  it.expect([unready(20)], ["soft 20", "drain timer 20", "rollback"]);
  assertStrictEquals(it.outcomes.at(-1), "failed: nobody tells");
  it.expect([exited(20, KILLED), unready(20)], []);
  it.startNext(30);
  it.expect([ready(30)], ["settle timer 30"]);
  it.expect([unready(30)], []);
  it.expect([stop], ["soft 10", "drain timer 10", "soft 30", "drain timer 30"]);
});

Deno.test("a first generation that is not up in time: exit 1, once it is gone", () => {
  const it = new Scenario();
  it.expect([reload, prepared, started(10)], ["prepare", "start #1", "ready timer 10"]);
  it.expect([timeout("ready", 10)], ["soft 10", "drain timer 10", "rollback"]);
  it.expect([reload], []);
  it.expect([timeout("drain", 10)], ["kill timer 10", "hard 10"]);
  it.expect([timeout("kill", 10)], ["kill 10"]);
  it.expect([exited(10, KILLED)], ["exit 1"]);
});

Deno.test("a generation that was up in time may settle beyond that time", () => {
  const it = new Scenario();
  it.serve(10);
  it.startNext(20);
  it.expect([ready(20), timeout("ready", 20)], ["settle timer 20"]);
  it.expect([timeout("settle", 20)], ["commit 20", "soft 10", "drain timer 10"]);
});

Deno.test("500 reloads asked for during one become one more", () => {
  const it = new Scenario();
  it.serve(10);
  const storm = Array.from({ length: 500 }, () => reload);
  it.expect([reload, ...storm, prepared, ...storm], ["prepare", "start #2"]);
  it.expect([started(20), ...storm, ready(20), ...storm], ["ready timer 20", "settle timer 20"]);
  it.expect([timeout("settle", 20)], ["commit 20", "soft 10", "drain timer 10", "prepare"]);
  it.expect([failed], ["rollback"]);
});

Deno.test("a reload asked for during one that fails comes after it", () => {
  const it = new Scenario();
  it.serve(10);
  it.expect([reload, reload, failed], ["prepare", "rollback", "prepare"]);
  it.expect([prepared, started(20)], ["start #2", "ready timer 20"]);
  it.expect([reload, exited(20, OK)], ["rollback", "prepare"]);
  it.expect([prepared, started(30)], ["start #3", "ready timer 30"]);
  it.expect([reload, timeout("ready", 30)], ["soft 30", "drain timer 30", "rollback", "prepare"]);
  it.expect([failed], ["rollback"]);
});

Deno.test("a reload asked for during the first start comes once it serves", () => {
  const it = new Scenario();
  it.expect([reload, reload, prepared], ["prepare", "start #1"]);
  it.expect([started(10), ready(10)], ["ready timer 10", "commit 10", "prepare"]);
});

Deno.test("the first to serve is told from the others, and the last one is named at the end", () => {
  const it = new Scenario();
  it.serve(10);
  it.startNext(20);
  const commits = [ready(20), timeout("settle", 20)].flatMap((event) => it.supervisor.handle(event))
    .filter((action) => action.do === "commit");
  assertEquals(commits, [{ do: "commit", pid: 20, isFirst: false }]);
  const ends = [exited(20, OK)].flatMap((event) => it.supervisor.handle(event))
    .filter((action) => action.do === "exit");
  assertEquals(ends, [{ do: "exit", code: 0, served: 20 }]);

  const successor = new Scenario();
  successor.supervisor.restore({
    generations: [{ number: 1, pid: 10, state: "serving" }],
    lastNumber: 1,
  });
  const [exit] = successor.supervisor.handle(exited(10, OK)).filter(({ do: what }) =>
    what === "exit"
  );
  assertEquals(exit, { do: "exit", code: 0, served: 10 });
});

Deno.test("a step leaves the state before it as it was", () => {
  const before: State = {
    phase: "trying",
    generations: [
      { number: 1, pid: 10, role: "serving", stop: "none" },
      { number: 2, pid: 20, role: "settling", stop: "none" },
    ],
    lastNumber: 2,
    lastServed: 10,
    reloadAgain: true,
    failures: 0,
    exitCode: 0,
  };
  const copy = structuredClone(before);
  for (const event of [timeout("settle", 20), exited(10, OK), exited(20, OK), stop, reload]) {
    const { state, actions } = transition(before, event, LIMITS);
    assertEquals(before, copy);
    assertEquals(transition(before, event, LIMITS).state, state);
    assertEquals(transition(before, event, LIMITS).actions, actions);
  }
});

Deno.test("nothing is done about pids unknown or gone", () => {
  const it = new Scenario();
  it.serve(10);
  it.replace(10, 20);
  it.expect([exited(10, OK)], []);
  for (const pid of [10, 99]) {
    it.expect([ready(pid), exited(pid, OK)], []);
    for (const timer of ["ready", "settle", "drain", "kill"] as const) {
      it.expect([timeout(timer, pid)], []);
    }
  }
});

Deno.test("timers of a generation that is gone do not harm one with the same pid", () => {
  const it = new Scenario();
  it.serve(10);
  it.replace(10, 20);
  it.expect([timeout("drain", 10), exited(10, OK)], ["kill timer 10", "hard 10"]);
  const stale = ["drain", "kill"] as const;
  it.startNext(10);
  for (const timer of [...stale, "settle"] as const) it.expect([timeout(timer, 10)], []);
  it.expect([ready(10)], ["settle timer 10"]);
  for (const timer of [...stale, "ready"] as const) it.expect([timeout(timer, 10)], []);
  it.expect([timeout("settle", 10)], ["commit 10", "soft 20", "drain timer 20"]);
  for (const timer of [...stale, "ready", "settle"] as const) it.expect([timeout(timer, 10)], []);
});

Deno.test("each start and reload has one outcome, with its reason", () => {
  const it = new Scenario();
  it.serve(10);
  it.expect([reload, failed], ["prepare", "rollback"]);
  it.startNext(20);
  it.expect([exited(20, { code: 3 })], ["rollback"]);
  it.startNext(30);
  it.expect([ready(30), exited(30, { signal: 11 })], ["settle timer 30", "rollback"]);
  it.startNext(40);
  it.expect([timeout("ready", 40)], ["soft 40", "drain timer 40", "rollback"]);
  it.startNext(41);
  const words = ["waiting for the database"];
  it.expect([{ type: "ready-timeout", pid: 41, said: words, awaited: "READY=1" }], [
    "soft 41",
    "drain timer 41",
    "rollback",
  ]);
  it.startNext(42);
  it.expect([{ type: "exited", pid: 42, status: { code: 1 }, said: [] }], ["rollback"]);
  it.startNext(45);
  const said = ["cannot bind socket", "exiting"];
  it.expect([{ type: "exited", pid: 45, status: { code: 1 }, said }], ["rollback"]);
  it.replace(10, 50);
  it.expect([reload, stop], ["prepare", "soft 50", "drain timer 50"]);
  it.expect([prepared], ["rollback"]);
  assertEquals(it.outcomes, [
    "ok: generation 1 serves",
    "failed: bad config",
    "failed: exited with code 3 before it served: see its lines in the wrapper's log",
    "failed: ended by signal 11 before it served: see its lines in the wrapper's log",
    "failed: not ready within 60ms: see its lines in the wrapper's log",
    "failed: not ready within 60ms (awaited: READY=1); it said: waiting for the database",
    "failed: exited with code 1 before it served; it said nothing",
    "failed: exited with code 1 before it served; it said: cannot bind socket | exiting",
    "ok: generation 8 serves",
    "failed: stopped",
  ]);
});
