/** A supervisor for tests: events by their names, and actions in a few letters. */

import { assertEquals, assertStrictEquals } from "@std/assert";
import type { ExitStatus } from "../../ffi/process.ts";
import type { Action, Event, SupervisorLimits } from "../../src/wrapper/events.ts";
import { Supervisor } from "../../src/wrapper/supervisor.ts";

/** What a timer is for. */
export type Timer = "ready" | "settle" | "drain" | "kill" | "stop" | "pause" | "proven";

/** Limits whose times a test never waits for. */
export const LIMITS: SupervisorLimits = {
  ready: 60,
  settle: 1,
  drain: 600,
  maxRetired: 5,
  stopDelay: 0,
  restart: 0,
};

/** An action in a few letters; outcomes, log lines and withdrawals are left out. */
export function brief(action: Action): string[] {
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

/** The timer that brings an event. */
export function timerOf(event: Event): Timer {
  return event.type.replace("-timeout", "") as Timer;
}

/** The pid of the generation that an event is about; 0 for none. */
function pidOf(event: Event): number {
  return "pid" in event ? event.pid : 0;
}

/** A supervisor, and what comes of the events that a test gives it. */
export class Scenario {
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

export const reload: Event = { type: "reload" };
export const prepared: Event = {
  type: "prepared",
  preparation: { sockets: [], env: {}, hide: String },
};
export const stop: Event = { type: "stop" };
export const failed: Event = { type: "failed", why: "bad config", exitCode: 7 };
export const started = (pid: number): Event => ({ type: "started", pid });
export const ready = (pid: number): Event => ({ type: "ready", pid });
export const unready = (pid: number): Event => ({ type: "unready", pid, why: "nobody tells" });
export const exited = (pid: number, status: ExitStatus): Event => ({ type: "exited", pid, status });
export const timeout = (timer: Timer, pid: number): Event => ({ type: `${timer}-timeout`, pid });
export const OK = { code: 0 };
export const KILLED = { signal: 9 };
