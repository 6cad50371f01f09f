import {
  assert,
  assertEquals,
  assertMatch,
  assertNotStrictEquals,
  assertStrictEquals,
} from "@std/assert";
import fc from "fast-check";
import type { ExitStatus } from "../../ffi/process.ts";
import { type Action, type Event, HARD_STOP_TIME, type SupervisorLimits } from "./events.ts";
import type { State } from "./step.ts";
import { Supervisor, transition } from "./supervisor.ts";

type Timer = "ready" | "settle" | "drain" | "kill" | "stop" | "pause" | "proven";

const LIMITS: SupervisorLimits = {
  ready: 60,
  settle: 1,
  drain: 600,
  maxRetired: 5,
  stopDelay: 0,
  restart: 0,
};

/** An action in a few letters; outcomes, log lines and withdrawals are left out. */
function brief(action: Action): string[] {
  switch (action.do) {
    case "prepare":
    case "rollback":
      return [action.do];
    case "start":
      return [`start #${action.generation}`];
    case "signal":
      return [`${action.kind} ${action.pid}`];
    case "timer":
      return [`${timerOf(action.then)} timer ${pidOf(action.then)}`];
    case "commit":
      return [`commit ${action.pid}`];
    case "exit":
      return [`exit ${action.code}`];
    case "outcome":
    case "withdraw":
    case "log":
      return [];
  }
}

function timerOf(event: Event): Timer {
  return event.type.replace("-timeout", "") as Timer;
}

/** Of the generation that an event is about, 0 for the whole. */
function pidOf(event: Event): number {
  return "pid" in event ? event.pid : 0;
}

/** A supervisor, told in words what happens. */
class Scenario {
  readonly supervisor: Supervisor;
  /** The messages logged so far. */
  readonly logged: string[] = [];
  /** The outcomes told so far. */
  readonly outcomes: string[] = [];

  constructor(limits: Partial<SupervisorLimits> = {}) {
    this.supervisor = new Supervisor({ ...LIMITS, ...limits });
  }

  /** Events lead to these actions, and to no others. */
  expect(events: readonly Event[], expected: readonly string[]): Action[] {
    const actions = events.flatMap((event) => this.supervisor.handle(event));
    for (const action of actions) {
      if (action.do === "log") this.logged.push(action.message);
      if (action.do === "outcome") {
        this.outcomes.push(`${action.ok ? "ok" : "failed"}: ${action.message}`);
      }
    }
    assertEquals(actions.flatMap(brief), expected);
    return actions;
  }

  /** Starts the first generation, which serves with this pid. */
  serve(pid: number): void {
    this.expect([reload], ["prepare"]);
    this.expect([prepared], ["start #1"]);
    this.expect([started(pid)], [`ready timer ${pid}`]);
    this.expect([ready(pid)], [`commit ${pid}`]);
  }

  /** Reloads as far as the successor's start. */
  startNext(pid: number): void {
    this.expect([reload], ["prepare"]);
    const [start] = this.supervisor.handle(prepared);
    assertStrictEquals(start?.do, "start");
    this.expect([started(pid)], [`ready timer ${pid}`]);
  }

  /** Replaces `before` by `after`, without settling. */
  replace(before: number, after: number): void {
    this.startNext(after);
    this.expect([ready(after), timeout("settle", after)], [
      `settle timer ${after}`,
      `commit ${after}`,
      `soft ${before}`,
      `drain timer ${before}`,
    ]);
  }
}

const reload: Event = { type: "reload" };
const prepared: Event = { type: "prepared", preparation: { sockets: [], env: {}, hide: String } };
const stop: Event = { type: "stop" };
const failed: Event = { type: "failed", why: "bad config", exitCode: 7 };
const started = (pid: number): Event => ({ type: "started", pid });
const ready = (pid: number): Event => ({ type: "ready", pid });
const unready = (pid: number): Event => ({ type: "unready", pid, why: "nobody tells" });
const exited = (pid: number, status: ExitStatus): Event => ({ type: "exited", pid, status });
const timeout = (timer: Timer, pid: number): Event => ({ type: `${timer}-timeout`, pid });
const OK = { code: 0 };
const KILLED = { signal: 9 };

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

Deno.test("a server that ends by itself passes its exit code on", () => {
  for (const [status, code] of [[OK, 0], [{ code: 3 }, 3], [{ signal: 11 }, 139]] as const) {
    const it = new Scenario();
    it.serve(10);
    it.expect([exited(10, status)], [`exit ${code}`]);
  }
});

Deno.test("a server that ends by itself ends all, whatever still drains or prepares", () => {
  const it = new Scenario();
  it.serve(10);
  it.replace(10, 20);
  it.expect([reload], ["prepare"]);
  it.expect([exited(20, { code: 3 })], ["exit 3"]);
  it.expect([prepared, exited(10, OK), reload, stop], []);
});

Deno.test("a successor that has started takes the place of a server that ends by itself", () => {
  const it = new Scenario();
  it.serve(10);
  it.startNext(20);
  it.expect([exited(10, KILLED)], []);
  it.expect([ready(20)], ["commit 20"]);

  const settling = new Scenario();
  settling.serve(10);
  settling.startNext(20);
  settling.expect([ready(20), exited(10, KILLED)], ["settle timer 20"]);
  settling.expect([timeout("settle", 20)], ["commit 20"]);
});

Deno.test("a successor that cannot take that place either ends all, whatever still drains", () => {
  const it = new Scenario();
  it.serve(5);
  it.replace(5, 10);
  it.startNext(20);
  it.expect([exited(10, KILLED)], []);
  it.expect([exited(20, { code: 3 })], ["rollback", "exit 3"]);

  const late = new Scenario();
  late.serve(5);
  late.replace(5, 10);
  late.startNext(20);
  late.expect([exited(10, KILLED)], []);
  late.expect([timeout("ready", 20)], ["soft 20", "drain timer 20", "rollback"]);
  late.expect([exited(20, KILLED)], ["exit 1"]);
});

/** One that restarts its server, which serves with pid 10; each commit sets a timer. */
function restarting(): Scenario {
  const it = new Scenario({ restart: 1000 });
  it.expect([reload, prepared, started(10)], ["prepare", "start #1", "ready timer 10"]);
  it.expect([ready(10)], ["commit 10", "proven timer 10"]);
  return it;
}

/** The pauses that begin upon an event, in milliseconds. */
function pauses(actions: readonly Action[]): number[] {
  return actions.flatMap((one) =>
    one.do === "timer" && one.then.type === "pause-timeout" ? [one.ms] : []
  );
}

Deno.test("a server that ends again and again is started after growing pauses", () => {
  const it = restarting();
  const seen: number[] = [];
  for (let pid = 10; pid < 16; pid++) {
    seen.push(...pauses(it.supervisor.handle(exited(pid, KILLED))));
    it.expect([timeout("pause", 0)], ["prepare"]);
    it.supervisor.handle(prepared);
    it.expect([started(pid + 1)], [`ready timer ${pid + 1}`]);
    it.expect([ready(pid + 1)], [`commit ${pid + 1}`, `proven timer ${pid + 1}`]);
  }
  assertEquals(seen, [100, 200, 400, 800, 1000, 1000]);
  // One that has proven to stay begins anew.
  it.expect([timeout("proven", 16)], []);
  assertEquals(pauses(it.supervisor.handle(exited(16, { code: 0 }))), [100]);
});

Deno.test("starts that fail count as well, and a reload or a stop ends the pause", () => {
  const it = restarting();
  it.expect([exited(10, KILLED)], ["pause timer 0"]);
  it.expect([timeout("pause", 0)], ["prepare"]);
  const actions = it.supervisor.handle(failed);
  assertEquals([...actions.flatMap(brief), ...pauses(actions)], [
    "rollback",
    "pause timer 0",
    200,
  ]);
  it.expect([reload], ["prepare"]);
  // The end of the pause that the reload has cut.
  it.expect([timeout("pause", 0)], []);
  it.expect([reload, failed], ["rollback", "prepare"]);
  it.expect([failed, stop], ["rollback", "pause timer 0", "exit 137"]);
});

Deno.test("what never served is not started again, and what is prepared takes the place of a server that ends", () => {
  const it = new Scenario({ restart: 1000 });
  it.expect([reload, failed], ["prepare", "rollback", "exit 7"]);

  const preparing = restarting();
  preparing.expect([reload, exited(10, KILLED)], ["prepare"]);
  preparing.expect([prepared, started(20)], ["start #2", "ready timer 20"]);
  preparing.expect([ready(20)], ["commit 20", "proven timer 20"]);
});

Deno.test("a successor in the pause starts the server", () => {
  const it = restarting();
  it.expect([exited(10, KILLED)], ["pause timer 0"]);
  const next = new Scenario({ restart: 1000 });
  assertEquals(next.supervisor.restore(it.supervisor.snapshot()).flatMap(brief), ["prepare"]);
  next.expect([failed], ["rollback", "pause timer 0"]);
});

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
  it.expect([{ type: "ready-timeout", pid: 41, said: ["waiting for the database"] }], [
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
    "failed: not ready within 60ms; it said: waiting for the database",
    "failed: exited with code 1 before it served; it said nothing",
    "failed: exited with code 1 before it served; it said: cannot bind socket | exiting",
    "ok: generation 8 serves",
    "failed: stopped",
  ]);
});

Deno.test("a snapshot names each generation and its state, oldest first", () => {
  const it = new Scenario();
  assertEquals(it.supervisor.snapshot(), { generations: [], lastNumber: 0 });
  it.serve(10);
  it.replace(10, 20);
  it.startNext(30);
  assertEquals(it.supervisor.snapshot(), {
    generations: [
      { number: 1, pid: 10, state: "draining" },
      { number: 2, pid: 20, state: "serving" },
      { number: 3, pid: 30, state: "starting" },
    ],
    lastNumber: 3,
  });
});

Deno.test("busy from the preparation to the outcome, stopping from the first stop", () => {
  const it = new Scenario();
  const states: [Event, busy: boolean][] = [
    [reload, true],
    [prepared, true],
    [started(10), true],
    [ready(10), false],
    [reload, true],
    [failed, false],
    [reload, true],
    [prepared, true],
    [started(20), true],
    [ready(20), true],
    [timeout("settle", 20), false],
  ];
  for (const [event, busy] of states) {
    it.supervisor.handle(event);
    assertEquals([it.supervisor.busy, it.supervisor.stopping], [busy, false], event.type);
  }
  it.supervisor.handle(stop);
  assertStrictEquals(it.supervisor.stopping, true);

  const late = new Scenario();
  [reload, prepared, started(10)].forEach((event) => late.supervisor.handle(event));
  late.supervisor.handle(timeout("ready", 10));
  assertStrictEquals(late.supervisor.ending, true, "nothing will serve any more");
});

Deno.test("a successor goes on with the generations: drain caps begin anew", () => {
  const before = new Scenario();
  before.serve(10);
  before.replace(10, 20);
  before.replace(20, 30);

  const it = new Scenario();
  const snapshot = before.supervisor.snapshot();
  const actions = it.supervisor.restore(JSON.parse(JSON.stringify(snapshot)));
  assertEquals(actions.flatMap(brief), ["drain timer 10", "drain timer 20"]);
  assertEquals(it.supervisor.snapshot(), snapshot);
  assertEquals([it.supervisor.busy, it.supervisor.stopping], [false, false]);

  it.expect([timeout("drain", 10)], ["kill timer 10", "hard 10"]);
  it.expect([exited(10, KILLED)], []);
  it.expect([reload, prepared], ["prepare", "start #4"]);
  it.expect([started(40)], ["ready timer 40"]);
  it.expect([ready(40), timeout("settle", 40)], [
    "settle timer 40",
    "commit 40",
    "soft 30",
    "drain timer 30",
  ]);
  it.expect([stop], ["soft 40", "drain timer 40"]);
  it.expect([exited(40, OK), exited(30, OK)], []);
  it.expect([exited(20, OK)], ["exit 0"]);
});

Deno.test("a successor kills what was stopped hard, instead of draining it anew", () => {
  const before = new Scenario();
  before.serve(10);
  before.replace(10, 20);
  before.expect([timeout("drain", 10)], ["kill timer 10", "hard 10"]);

  const it = new Scenario();
  const snapshot = before.supervisor.snapshot();
  const actions = it.supervisor.restore(JSON.parse(JSON.stringify(snapshot)));
  assertEquals(actions.flatMap(brief), ["kill timer 10"]);
  assertEquals(it.supervisor.snapshot(), snapshot);
  it.expect([timeout("drain", 10)], []);
  it.expect([timeout("kill", 10)], ["kill 10"]);
  it.expect([exited(10, KILLED)], []);
});

Deno.test("a successor notices that what it was handed has ended meanwhile", () => {
  const before = new Scenario();
  before.serve(10);
  before.replace(10, 20);
  const it = new Scenario();
  it.supervisor.restore(before.supervisor.snapshot());
  it.expect([exited(20, { code: 3 })], ["exit 3"]);
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

/** A child of the world below, and what it was told. */
interface SimulatedChild {
  isUp: boolean;
  told: Set<"prepare" | "soft" | "hard" | "kill">;
}

/**
 * A world around a supervisor: children that start, come up and end, and timers that fire when they
 * please. It checks each action against what it knows. A pid is used again as soon as it is free, while
 * timers of the one before may still be running.
 */
class World {
  readonly supervisor: Supervisor;
  readonly children = new Map<number, SimulatedChild>();
  readonly timers: Event[] = [];
  /** The timer that is firing. */
  firing: Timer | undefined;
  /** Between `prepare` and its commit or rollback. */
  reloading = false;
  /** Between `prepare` and its outcome. */
  preparing = false;
  startFails = false;
  /** Asked for during a reload. */
  reloadWanted = false;
  candidate: number | undefined;
  /** Whether the last preparation came to nothing. */
  rolledBack = false;
  serving: number | undefined;
  stopped = false;
  /** A start came to nothing while nobody served. */
  failed = false;
  /** Of the one that served last. */
  servedCode = 0;
  exitCode: number | undefined;
  /** Preparations whose outcome was not told. */
  untold = 0;
  /** The pids of those that have served, in their order. */
  readonly served: number[] = [];
  withdrawn = false;
  /** Before the server is started again. */
  pausing = false;

  constructor(settle: number, stopDelay: number, readonly restart: number) {
    const limits = { ...LIMITS, settle, stopDelay, restart, maxRetired: 2 };
    this.supervisor = new Supervisor(limits);
    this.tell(reload);
  }

  tell(event: Event): void {
    this.stopped ||= event.type === "stop";
    this.reloadWanted ||= event.type === "reload" && this.reloading;
    for (const action of this.supervisor.handle(event)) this.#check(action);
    if (this.exitCode !== undefined) return;
    assert(this.candidate === undefined || this.children.has(this.candidate), "rolled back");
    if (this.stopped) return assert(this.children.size > 0, "a stop with nothing left ends");
    if (this.reloading || this.failed || this.pausing) return;
    assert(this.serving !== undefined, "it does not go on without a server");
    assert(!this.reloadWanted, "a reload asked for meanwhile comes next");
  }

  /** A child ends. */
  end(pid: number, status: ExitStatus): void {
    this.children.delete(pid);
    if (pid === this.serving) {
      this.serving = undefined;
      this.servedCode = "code" in status ? status.code : 128 + status.signal;
    }
    this.tell(exited(pid, status));
  }

  /** The preparation under way comes to its end. */
  finishPreparation(event: Event): void {
    if (!this.preparing) return;
    this.preparing = false;
    this.tell(event);
  }

  fire(index: number): void {
    const [fired] = this.timers.splice(index, 1);
    if (fired === undefined) return;
    this.firing = timerOf(fired);
    this.tell(fired);
    this.firing = undefined;
  }

  /** Nobody will tell any more whether a child is up. */
  loseLatch(pid: number): void {
    this.firing = "ready";
    this.tell(unready(pid));
    this.firing = undefined;
  }

  #check(action: Action): void {
    assertStrictEquals(this.exitCode, undefined, "nothing comes after the exit");
    switch (action.do) {
      case "prepare":
        assert(!this.reloading && !this.stopped);
        assertStrictEquals(++this.untold, 1, "the one before has had its outcome");
        this.reloading = this.preparing = true;
        this.pausing = false;
        this.reloadWanted = false;
        return;
      case "start":
        assert(this.reloading && this.candidate === undefined, "there is one candidate at most");
        if (this.startFails) return this.tell(failed);
        return this.#start();
      case "signal":
        return this.#checkSignal(action.pid, action.kind);
      case "timer":
        assert("pid" in action.then ? this.children.has(action.then.pid) : action.ms > 0);
        if (action.then.type === "pause-timeout") {
          assert(this.restart > 0 && this.serving === undefined && !this.reloading);
          this.pausing = true;
        }
        this.timers.push(action.then);
        return;
      case "commit":
        assert(this.reloading && !this.stopped);
        assertStrictEquals(action.pid, this.candidate);
        assertEquals(action.isFirst, this.served.length === 0);
        this.served.push(action.pid);
        assert(this.children.get(action.pid)?.isUp);
        this.serving = this.candidate;
        this.rolledBack = false;
        return this.#closeReload();
      case "rollback":
        assert(this.reloading);
        this.failed ||= this.serving === undefined && !this.stopped && !this.#isRestarted();
        this.rolledBack = true;
        return this.#closeReload();
      case "outcome":
        assertStrictEquals(--this.untold, 0, "one outcome each");
        assertStrictEquals(action.ok, this.serving !== undefined && !this.rolledBack);
        return;
      case "exit":
        assert(this.stopped || this.failed || !this.#isRestarted(), "it is to start again");
        this.exitCode = action.code;
        assertEquals(action.served, this.served.at(-1));
        return this.#checkExit(action.code);
      case "withdraw":
        assert(this.stopped);
        this.withdrawn = true;
        return;
      case "log":
    }
  }

  #isRestarted(): boolean {
    return this.restart > 0 && this.served.length > 0;
  }

  #start(): void {
    let pid = 1;
    while (this.children.has(pid)) pid++;
    this.children.set(pid, { isUp: false, told: new Set() });
    this.candidate = pid;
    this.tell(started(pid));
  }

  #closeReload(): void {
    this.reloading = false;
    this.candidate = undefined;
  }

  #checkSignal(pid: number, kind: "soft" | "hard" | "kill"): void {
    const child = this.children.get(pid);
    assert(child, "a signal to a pid that is not ours");
    if (!this.stopped) {
      assertNotStrictEquals(pid, this.serving, "who serves is left alone");
      const isLate = kind === "soft" && this.firing === "ready" && !child.isUp;
      assert(pid !== this.candidate || isLate, "so is a candidate, unless it is late");
    }
    assert(kind !== "kill" || child.told.has("hard"), "a kill comes after a hard stop");
    assert(kind !== "soft" || !child.told.has("hard"), "a soft stop comes before a hard one");
    assert(pid !== this.serving || this.withdrawn, "clients are not to wait for what stops");
    child.told.add(kind);
  }

  #checkExit(code: number): void {
    for (const { told } of this.children.values()) assert(told.size > 0, "a child is forgotten");
    if (this.stopped) assertStrictEquals(this.children.size, 0, "a stop leaves no child behind");
    if (!this.failed) assertStrictEquals(code, this.servedCode);
    else assert(this.serving === undefined && code !== 0);
  }
}

Deno.test("whatever happens in whatever order, the server goes on and a stop ends", () => {
  const status = fc.constantFrom(OK, { code: 3 }, KILLED);
  const step = fc.record({
    what: fc.oneof(
      { weight: 60, arbitrary: fc.constantFrom("prepared", "ready", "ready", "timer", "timer") },
      { weight: 20, arbitrary: fc.constantFrom("reload", "reload", "failed", "exit", "no start") },
      { weight: 5, arbitrary: fc.constant("unready") },
      { weight: 1, arbitrary: fc.constant("stop") },
    ),
    pick: fc.nat(),
    status,
  });
  const endings = fc.record({
    answers: fc.boolean(),
    /** What it takes to end a child, by turns. */
    stubbornness: fc.array(fc.constantFrom("soft", "hard", "kill"), { minLength: 1 }),
  });
  const property = fc.property(
    fc.constantFrom(0, 1),
    fc.constantFrom(0, 5),
    fc.constantFrom(0, 1000),
    fc.array(step, { maxLength: 60, size: "max" }),
    endings,
    (settle, stopDelay, restart, steps, { answers, stubbornness }) => {
      const world = new World(settle, stopDelay, restart);
      for (const { what, pick, status } of steps) {
        if (world.exitCode !== undefined) break;
        const pids = [...world.children.keys()];
        const pid = pids[pick % pids.length];
        world.startFails = what === "no start";
        if (what === "reload") world.tell(reload);
        else if (what === "stop") world.tell(stop);
        else if (what === "failed") world.finishPreparation(failed);
        else if (what === "prepared" || what === "no start") world.finishPreparation(prepared);
        else if (what === "timer") world.fire(pick % Math.max(1, world.timers.length));
        else if (pid !== undefined && what === "exit") world.end(pid, status);
        else if (pid !== undefined && what === "unready") world.loseLatch(pid);
        else if (pid !== undefined) {
          const child = world.children.get(pid);
          if (child) child.isUp = true;
          world.tell(ready(pid));
        }
      }
      if (world.exitCode === undefined) world.tell(stop);
      if (answers && world.exitCode === undefined) world.finishPreparation(prepared);
      // Each round fires the timers of the one before: the delay, soft stop, hard stop, kill.
      for (let round = 0; round < 4 && world.exitCode === undefined; round++) {
        for (const [pid, { told }] of [...world.children]) {
          const least = stubbornness[pid % stubbornness.length];
          const ends = told.has("kill") || (least !== "kill" && told.has("hard")) ||
            (least === "soft" && told.has("soft"));
          if (ends) world.end(pid, OK);
        }
        for (let left = world.timers.length; left > 0; left--) world.fire(0);
      }
      assertNotStrictEquals(
        world.exitCode,
        undefined,
        "a stop ends, however stubborn the children",
      );
      assertEquals([reload, stop].flatMap((event) => world.supervisor.handle(event)), []);
    },
  );
  fc.assert(property, { numRuns: 2000 });
});
