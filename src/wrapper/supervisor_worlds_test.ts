import { assert, assertEquals, assertNotStrictEquals, assertStrictEquals } from "@std/assert";
import fc from "fast-check";
import {
  exited,
  failed,
  KILLED,
  LIMITS,
  OK,
  prepared,
  ready,
  reload,
  started,
  stop,
  type Timer,
  timerOf,
  unready,
} from "../../tests/support/supervisor.ts";
import type { ExitStatus } from "../../ffi/process.ts";
import type { Action, Event } from "./events.ts";
import { Supervisor } from "./supervisor.ts";

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
