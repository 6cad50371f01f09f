/**
 * What a supervisor does about each event, in each state: three tables, and below them the functions in their cells.
 * An event that a row does not name is ignored in that state.
 * @module
 */

import type { ExitStatus } from "../../ffi/process.ts";
import { describeDuration } from "../duration.ts";
import { EXIT } from "../errors.ts";
import { exitCodeOf } from "../servers/launch.ts";
import { type EventOf, type GenerationEvents, HARD_STOP_TIME, type PhaseEvents } from "./events.ts";
import type { Generation, Role, Stop } from "./generation.ts";
import { isStop, type Phase, type Step } from "./step.ts";

type PhaseRow = {
  readonly [Name in keyof PhaseEvents]?: (step: Step, event: EventOf<Name>) => void;
};
type GenerationRow = {
  readonly [Name in keyof GenerationEvents]?: (
    step: Step,
    generation: Generation,
    event: EventOf<Name>,
  ) => void;
};

/** Milliseconds before a server that has ended by itself is started again, the first time. */
const FIRST_PAUSE = 100;

/** What to do about events that are about no single generation, by the phase of the supervisor. */
export const PHASES: Record<Phase, PhaseRow> = {
  idle: { reload: prepare, stop },
  preparing: { reload: reloadLater, prepared: start, started: tryOut, failed: fail, stop },
  trying: { reload: reloadLater, stop },
  pausing: { reload: prepare, "pause-timeout": prepare, stop },
  failed: { stop },
  delaying: { prepared: skip, started: drop, failed: failInStop, stop: halt, "stop-timeout": end },
  stopping: { prepared: skip, started: drop, failed: failInStop, stop: halt },
  halting: { prepared: skip, started: drop, failed: failInStop, stop: halt },
  ended: {},
  stopped: {},
};

/** What to do about events of a generation, by its role. */
export const ROLES: Record<Role, GenerationRow> = {
  starting: { ready: settle, unready: giveUp, "ready-timeout": giveUpLate, exited: endCandidate },
  settling: { "settle-timeout": promote, exited: endCandidate },
  dropped: { exited: endCandidate },
  abandoned: { exited: endDrain },
  serving: { "proven-timeout": resetFailures, exited: endService },
  retired: { exited: endDrain },
};

/** What to do about events of a generation besides, by the stop that it was told. */
export const STOPS: Record<Stop, GenerationRow> = {
  none: {},
  soft: { "drain-timeout": capDrain },
  hard: { "kill-timeout": kill },
};

function prepare(step: Step): void {
  step.state.phase = "preparing";
  if (step.serving) step.log("info", "reloading");
  step.do({ do: "prepare", isFirst: isFirst(step) });
}

function reloadLater(step: Step): void {
  step.state.reloadAgain = true;
}

function start(step: Step, { preparation }: EventOf<"prepared">): void {
  step.do({ do: "start", generation: ++step.state.lastNumber, preparation });
}

function tryOut(step: Step, { pid }: EventOf<"started">): void {
  step.state.phase = "trying";
  addCandidate(step, pid, "starting");
  step.do({ do: "timer", ms: step.limits.ready, then: { type: "ready-timeout", pid } });
}

function addCandidate(step: Step, pid: number, role: "starting" | "dropped"): Generation {
  const candidate: Generation = { number: step.state.lastNumber, pid, role, stop: "none" };
  step.state.generations = [...step.state.generations, candidate];
  step.log("info", "started", candidate);
  return candidate;
}

/** The candidate is up. */
function settle(step: Step, candidate: Generation): void {
  candidate.role = "settling";
  step.log("debug", "ready", candidate);
  if (step.serving === undefined || step.limits.settle === 0) return promote(step, candidate);
  const { pid } = candidate;
  step.do({ do: "timer", ms: step.limits.settle, then: { type: "settle-timeout", pid } });
}

/** The candidate becomes the generation that serves, and the one before it is retired. */
function promote(step: Step, candidate: Generation): void {
  const { serving: before, state } = step;
  const { pid, number } = candidate;
  if (before) before.role = "retired";
  candidate.role = "serving";
  const isStart = isFirst(step);
  step.do({ do: "commit", pid, isFirst: isStart });
  state.lastServed = pid;
  step.log("info", before ? "reloaded" : "serving", candidate);
  const message = `generation ${number} serves`;
  step.do({ do: "outcome", ok: true, message, isFirst: isStart });
  if (step.limits.restart > 0) {
    step.do({ do: "timer", ms: step.limits.restart, then: { type: "proven-timeout", pid } });
  }
  if (before) drain(step, before);
  endReload(step);
}

/** A generation that has served for so long is not one that crashes at once. */
function resetFailures(step: Step): void {
  step.state.failures = 0;
}

function drain(step: Step, generation: Generation): void {
  step.log("info", "draining", generation);
  step.stopSoft(generation);
  const draining = step.retired.filter(({ stop }) => stop !== "hard");
  const [oldest] = draining;
  if (oldest && draining.length > step.limits.maxRetired) {
    step.log("warn", "too many generations drain, stopping the oldest", oldest);
    step.stopHard(oldest);
  }
}

/** After a reload, successful or not. */
function endReload(step: Step): void {
  step.state.phase = "idle";
  if (!step.state.reloadAgain) return;
  step.state.reloadAgain = false;
  prepare(step);
}

/**
 * A candidate that gave no sign of being up may be up, and have accepted connections, which it may finish. But one that
 * hangs answers none of those that it goes on accepting: so it has less time than others.
 */
function giveUp(step: Step, candidate: Generation, { why }: { why: string }): void {
  candidate.role = "abandoned";
  step.stopSoft(candidate, Math.min(step.limits.drain, HARD_STOP_TIME));
  fail(step, { why, exitCode: EXIT.failure });
}

function giveUpLate(step: Step, candidate: Generation, late: EventOf<"ready-timeout">): void {
  const time = describeDuration(step.limits.ready);
  const sign = late.awaited === undefined ? "" : ` (awaited: ${late.awaited})`;
  giveUp(step, candidate, { why: `not ready within ${time}${sign}${wordsOf(late.said)}` });
}

/** The last words of a server that has not come up. @param said undefined where they are not known */
function wordsOf(said: readonly string[] | undefined): string {
  if (said === undefined) return ": see its lines in the wrapper's log";
  return `; it said${said.length > 0 ? `: ${said.join(" | ")}` : " nothing"}`;
}

/** The candidate has ended before it served. */
function endCandidate(
  step: Step,
  candidate: Generation,
  { status, said }: EventOf<"exited">,
): void {
  remove(step, candidate);
  // A server that goes into the background ends like this, and leaves a process that nobody knows.
  const hint = "code" in status && status.code === 0
    ? ", though it must stay in the foreground"
    : "";
  const why = `${describe(status)} before it served${hint}${wordsOf(said)}`;
  if (isStop(step.state.phase)) return failInStop(step, { why });
  fail(step, { why, exitCode: exitCodeOf(status) || EXIT.failure });
}

/** The candidate, or its preparation, has failed. */
function fail(step: Step, { why, exitCode }: { why: string; exitCode: number }): void {
  giveBack(step, why);
  if (step.serving) {
    const message = "reload failed, the old generation goes on serving";
    step.log("error", message, step.serving, { why });
    return endReload(step);
  }
  step.log("error", "cannot start", undefined, { why });
  if (isRestarted(step)) return step.state.reloadAgain ? endReload(step) : pause(step);
  step.state.phase = "failed";
  step.state.exitCode = exitCode;
  step.exitIfOver();
}

/** During a stop nothing is started any more. */
function skip(step: Step): void {
  failInStop(step, { why: "stopped" });
}

/** The candidate, or its preparation, has failed during a stop. */
function failInStop(step: Step, { why }: { why: string }): void {
  giveBack(step, why);
  step.exitIfOver();
}

function giveBack(step: Step, why: string): void {
  step.do({ do: "rollback" });
  step.do({ do: "outcome", ok: false, message: why, isFirst: isFirst(step) });
}

/** Whether no generation has served yet. */
function isFirst(step: Step): boolean {
  return step.state.lastServed === undefined;
}

function endService(step: Step, generation: Generation, { status }: EventOf<"exited">): void {
  remove(step, generation);
  step.state.exitCode = exitCodeOf(status);
  if (isStop(step.state.phase)) {
    step.log("info", "stopped", generation, { ...status });
    return step.exitIfOver();
  }
  step.log("error", "the server ended by itself", generation, { ...status });
  // A candidate that has started takes its place.
  if (step.candidate !== undefined) return;
  if (!isRestarted(step)) return step.exit();
  // A generation that is being prepared takes its place as well.
  if (step.state.phase === "idle") pause(step);
}

/** Whether a server that has ended is started again. One that has never served is left to whoever started us. */
function isRestarted({ limits, state }: Step): boolean {
  return limits.restart > 0 && state.lastServed !== undefined;
}

/** Waits before the server is started again, longer each time. */
function pause(step: Step): void {
  const { restart } = step.limits;
  const ms = Math.min(restart, FIRST_PAUSE * 2 ** step.state.failures++);
  step.state.phase = "pausing";
  step.log("warn", `starting the server again in ${describeDuration(ms)}`);
  step.do({ do: "timer", ms, then: { type: "pause-timeout" } });
}

function endDrain(step: Step, generation: Generation, { status }: EventOf<"exited">): void {
  remove(step, generation);
  step.log("info", "drained", generation, { ...status });
  step.exitIfOver();
}

function remove(step: Step, generation: Generation): void {
  step.state.generations = step.state.generations.filter((one) => one !== generation);
}

/** A first request to stop. */
function stop(step: Step): void {
  const { candidate, limits: { stopDelay } } = step;
  if (candidate) candidate.role = "dropped";
  if (stopDelay === 0 || step.serving === undefined) return end(step);
  step.state.phase = "delaying";
  step.log("info", `stopping in ${describeDuration(stopDelay)}`);
  step.do({ do: "timer", ms: stopDelay, then: { type: "stop-timeout" } });
}

function end(step: Step): void {
  step.state.phase = "stopping";
  step.log("info", "stopping gracefully");
  step.do({ do: "withdraw" });
  for (const one of step.state.generations) if (one.stop === "none") step.stopSoft(one);
  step.exitIfOver();
}

/** A further request to stop. */
function halt(step: Step): void {
  step.state.phase = "halting";
  step.log("info", "stopping hard");
  step.do({ do: "withdraw" });
  step.state.generations.forEach((one) => step.stopHard(one));
  step.exitIfOver();
}

/** Stops a generation that was started although a stop had been asked for. */
function drop(step: Step, { pid }: EventOf<"started">): void {
  const candidate = addCandidate(step, pid, "dropped");
  if (step.state.phase === "halting") step.stopHard(candidate);
  else step.stopSoft(candidate);
}

function capDrain(step: Step, generation: Generation): void {
  step.log("warn", "still runs at the drain cap, stopping it", generation);
  step.stopHard(generation);
}

function kill(step: Step, generation: Generation): void {
  step.log("warn", "does not stop, killing it", generation);
  step.do({ do: "signal", pid: generation.pid, kind: "kill" });
}

function describe(status: ExitStatus): string {
  return "code" in status ? `exited with code ${status.code}` : `ended by signal ${status.signal}`;
}
