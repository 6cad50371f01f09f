/**
 * The life of generations: a state machine without effects. Events go in, actions come out.
 *
 * A generation is prepared (rendered, sockets fetched, config checked), started, ready (up), and serving
 * once it has stayed up for the settle time. Only then is the one before it retired: it drains, is told to
 * stop hard at the drain cap, and is killed if that does not help. Whatever goes wrong before leaves the
 * serving generation as it is. One reload runs at a time; those asked for meanwhile become one more.
 * @module
 */

import type { ExitStatus } from "../../ffi/process.ts";
import { describeDuration } from "../duration.ts";
import { EXIT } from "../errors.ts";
import type { Fields, Level } from "../log.ts";
import type { Preparation } from "./launcher.ts";

/** Limits, in milliseconds where they are times. */
export interface SupervisorLimits {
  /** For a generation to become ready. */
  ready: number;
  /** For which a new generation must stay up before the one before it is retired. */
  settle: number;
  /** For which a retired generation may go on with its connections. */
  drain: number;
  /** Retired generations at once; one more ends the oldest's drain. */
  maxRetired: number;
  /** Between the first request to stop and the stop: who sends connections here may learn of it. */
  stopDelay: number;
}

/** How long a hard stop may take before the kill, in milliseconds. */
export const HARD_STOP_TIME = 5000;

export type Event =
  | { type: "reload" }
  | { type: "prepared"; preparation: Preparation }
  | { type: "started"; pid: number }
  | { type: "ready"; pid: number }
  /** Nobody will tell whether it is up. */
  | { type: "unready"; pid: number; why: string }
  /** Preparing or starting failed. */
  | { type: "failed"; why: string; exitCode: number }
  | { type: "timeout"; timer: Timer; pid: number }
  | { type: "exited"; pid: number; status: ExitStatus }
  | { type: "stop" };

/** The pid of a `stop` timer is 0. */
export type Timer = "ready" | "settle" | "drain" | "kill" | "stop";

export type Action =
  | { do: "prepare" }
  | { do: "start"; generation: number; preparation: Preparation }
  | { do: "signal"; pid: number; kind: "soft" | "hard" | "kill" }
  | { do: "timer"; timer: Timer; pid: number; ms: number }
  /** The candidate serves from now on. */
  | { do: "commit"; pid: number }
  /** The candidate is given up. */
  | { do: "rollback" }
  /** How a start or reload went. */
  | { do: "outcome"; ok: boolean; message: string }
  | { do: "log"; level: Level; message: string; fields: Fields }
  | { do: "exit"; code: number };

/** The generations, for `status` and for a successor. */
export interface SupervisorSnapshot {
  generations: GenerationSnapshot[];
  lastNumber: number;
}

interface GenerationSnapshot {
  number: number;
  pid: number;
  state: "starting" | "serving" | "draining";
  /** It was told to stop hard, if so. */
  isStopped?: true;
}

interface Generation {
  number: number;
  pid: number;
  /** It has bound everything. */
  isUp: boolean;
  /** It was told to stop hard. */
  isStopped: boolean;
}

/** See the module's description. */
export class Supervisor {
  #serving: Generation | undefined;
  /** Started, not serving yet. */
  #candidate: Generation | undefined;
  /** Oldest first. */
  readonly #retired: Generation[] = [];
  #lastNumber = 0;
  /** Between `prepare` and the candidate's start. */
  #preparing = false;
  #reloadAgain = false;
  /** Times that a stop was asked for. */
  #stops = 0;
  /** Nobody serves, and the last attempt to start failed. */
  #failed = false;
  #ended = false;
  #exitCode: number = EXIT.ok;
  #actions: Action[] = [];

  constructor(readonly limits: SupervisorLimits) {}

  /** Whether a start or reload is under way. */
  get busy(): boolean {
    return this.#preparing || this.#candidate !== undefined;
  }

  /** Whether a stop was asked for. */
  get stopping(): boolean {
    return this.#stops > 0;
  }

  /** Whether this comes to its end: a stop was asked for, or nothing could be started. */
  get ending(): boolean {
    return this.stopping || this.#failed;
  }

  /** The generations, oldest first. */
  snapshot(): SupervisorSnapshot {
    const generations = this.#all().map((one) => {
      const state: GenerationSnapshot["state"] = one === this.#serving
        ? "serving"
        : one === this.#candidate
        ? "starting"
        : "draining";
      const { number, pid, isStopped } = one;
      return { number, pid, state, ...(isStopped && { isStopped }) };
    });
    return { generations, lastNumber: this.#lastNumber };
  }

  /**
   * Goes on where an earlier program, which was not busy, has left off. Drain caps begin anew, and so
   * does the time for a hard stop.
   * @returns what is to be done
   */
  restore(snapshot: SupervisorSnapshot): Action[] {
    this.#actions = [];
    this.#lastNumber = snapshot.lastNumber;
    for (const { number, pid, state, isStopped = false } of snapshot.generations) {
      const generation = { number, pid, isUp: true, isStopped };
      if (state === "serving") {
        this.#serving = generation;
      } else {
        this.#retired.push(generation);
        if (isStopped) this.#do({ do: "timer", timer: "kill", pid, ms: HARD_STOP_TIME });
        else this.#do({ do: "timer", timer: "drain", pid, ms: this.limits.drain });
      }
    }
    return this.#actions;
  }

  /** Takes an event. @returns what is to be done, in this order */
  handle(event: Event): Action[] {
    this.#actions = [];
    if (!this.#ended) this.#take(event);
    return this.#actions;
  }

  #take(event: Event): void {
    switch (event.type) {
      case "reload":
        return this.#reload();
      case "prepared":
        if (this.#stops > 0) return this.#fail("stopped", EXIT.ok);
        return this.#do({
          do: "start",
          generation: ++this.#lastNumber,
          preparation: event.preparation,
        });
      case "started":
        return this.#started(event.pid);
      case "ready":
        return this.#ready(event.pid);
      case "unready":
        return this.#giveUp(event.pid, event.why);
      case "failed":
        return this.#fail(event.why, event.exitCode);
      case "timeout":
        return this.#timeout(event.timer, event.pid);
      case "exited":
        return this.#exited(event.pid, event.status);
      case "stop":
        return this.#stop();
    }
  }

  #reload(): void {
    if (this.#stops > 0 || this.#failed) return;
    if (this.#preparing || this.#candidate) {
      this.#reloadAgain = true;
      return;
    }
    this.#preparing = true;
    if (this.#serving) this.#log("info", "reloading");
    this.#do({ do: "prepare" });
  }

  #started(pid: number): void {
    this.#preparing = false;
    this.#candidate = { number: this.#lastNumber, pid, isUp: false, isStopped: false };
    this.#log("info", "started", this.#candidate);
    if (this.#stops > 0) return this.#end(this.#candidate);
    this.#do({ do: "timer", timer: "ready", pid, ms: this.limits.ready });
  }

  #ready(pid: number): void {
    if (this.#candidate?.pid !== pid || this.#stops > 0) return;
    this.#candidate.isUp = true;
    this.#log("debug", "ready", this.#candidate);
    if (this.#serving === undefined || this.limits.settle === 0) return this.#promote();
    this.#do({ do: "timer", timer: "settle", pid, ms: this.limits.settle });
  }

  /** The candidate becomes the one that serves. */
  #promote(): void {
    const [before, after] = [this.#serving, this.#candidate];
    if (after === undefined) return;
    this.#serving = after;
    this.#candidate = undefined;
    this.#do({ do: "commit", pid: after.pid });
    this.#log("info", before ? "reloaded" : "serving", after);
    this.#do({ do: "outcome", ok: true, message: `generation ${after.number} serves` });
    if (before) this.#retire(before);
    this.#goOn();
  }

  /** A candidate that is not up may be half up: it goes the way of all retired ones, but at once. */
  #giveUp(pid: number, why: string): void {
    const candidate = this.#candidate;
    if (candidate?.pid !== pid || candidate.isUp || this.#stops > 0) return;
    this.#retired.push(candidate);
    this.#stopHard(candidate);
    this.#fail(why, EXIT.failure);
  }

  #retire(generation: Generation): void {
    this.#retired.push(generation);
    this.#log("info", "draining", generation);
    this.#stopSoft(generation);
    const draining = this.#retired.filter((one) => !one.isStopped);
    const [oldest] = draining;
    if (oldest && draining.length > this.limits.maxRetired) {
      this.#log("warn", "too many generations drain, stopping the oldest", oldest);
      this.#stopHard(oldest);
    }
  }

  /** The candidate, or its preparation, came to nothing. */
  #fail(why: string, exitCode: number): void {
    this.#preparing = false;
    this.#candidate = undefined;
    this.#do({ do: "rollback" });
    this.#do({ do: "outcome", ok: false, message: why });
    if (this.#stops > 0) {
      this.#exitIfOver();
    } else if (this.#serving) {
      this.#log("error", "reload failed, the old generation goes on serving", this.#serving, {
        why,
      });
      this.#goOn();
    } else {
      this.#log("error", "cannot start", undefined, { why });
      this.#failed = true;
      this.#exitCode = exitCode;
      this.#exitIfOver();
    }
  }

  /** After a reload, successful or not. */
  #goOn(): void {
    if (!this.#reloadAgain) return;
    this.#reloadAgain = false;
    this.#reload();
  }

  #timeout(timer: Timer, pid: number): void {
    // A second request has ended the delay.
    if (timer === "stop") return this.#stops === 1 ? this.#stopAll() : undefined;
    // A pid may be used again, and the timer be that of a generation long gone: hence the conditions.
    const generation = this.#all().find((one) => one.pid === pid);
    if (generation === undefined) return;
    if (timer === "settle") {
      if (generation === this.#candidate && generation.isUp && this.#stops === 0) this.#promote();
    } else if (timer === "ready") {
      this.#giveUp(pid, `not ready within ${describeDuration(this.limits.ready)}`);
    } else if (timer === "drain") {
      const drains = this.#stops > 0 || this.#retired.includes(generation);
      if (!drains || generation.isStopped) return;
      this.#log("warn", "still has connections at the drain cap, stopping it", generation);
      this.#stopHard(generation);
    } else if (generation.isStopped) {
      this.#log("warn", "does not stop, killing it", generation);
      this.#signal(generation, "kill");
    }
  }

  #exited(pid: number, status: ExitStatus): void {
    const how: Fields = { ...status };
    const code = "code" in status ? status.code : 128 + status.signal;
    if (this.#candidate?.pid === pid) {
      const why = `${describe(status)} before it served: see its lines in the wrapper's log`;
      this.#fail(why, code || EXIT.failure);
    }
    const drained = this.#retired.findIndex((one) => one.pid === pid);
    if (drained >= 0) {
      const [generation] = this.#retired.splice(drained, 1);
      if (generation) this.#log("info", "drained", generation, how);
    }
    if (this.#serving?.pid === pid) this.#servingExited(this.#serving, code, how);
    this.#exitIfOver();
  }

  #servingExited(generation: Generation, code: number, how: Fields): void {
    this.#serving = undefined;
    this.#exitCode = code;
    if (this.#stops > 0) return this.#log("info", "stopped", generation, how);
    this.#log("error", "the server ended by itself", generation, how);
    // A successor that has started takes its place; anything less would only delay the restart.
    if (this.#candidate === undefined) this.#exit();
  }

  #stop(): void {
    const { stopDelay } = this.limits;
    if (++this.#stops > 1 || stopDelay === 0 || !this.#serving) return this.#stopAll();
    this.#log("info", `stopping in ${describeDuration(stopDelay)}`);
    this.#do({ do: "timer", timer: "stop", pid: 0, ms: stopDelay });
  }

  #stopAll(): void {
    this.#log("info", this.#stops === 1 ? "stopping gracefully" : "stopping hard");
    for (const generation of this.#all()) {
      if (this.#stops > 1 || !this.#retired.includes(generation)) this.#end(generation);
    }
    this.#exitIfOver();
  }

  /** Ends when nothing is left that is worth the wait; a preparation is not. */
  #exitIfOver(): void {
    if (this.#stops > 0) return this.#all().length === 0 ? this.#exit() : undefined;
    // Nobody serves: what still drains would only delay the restart.
    if (this.#failed && !this.#retired.some((one) => one.isStopped)) this.#exit();
  }

  #exit(): void {
    if (!this.#ended) this.#do({ do: "exit", code: this.#exitCode });
    this.#ended = true;
  }

  /** What a stop does to a generation. */
  #end(generation: Generation): void {
    if (this.#stops > 1) this.#stopHard(generation);
    else this.#stopSoft(generation);
  }

  #stopSoft(generation: Generation): void {
    this.#signal(generation, "soft");
    this.#do({ do: "timer", timer: "drain", pid: generation.pid, ms: this.limits.drain });
  }

  #stopHard(generation: Generation): void {
    generation.isStopped = true;
    this.#signal(generation, "hard");
    this.#do({ do: "timer", timer: "kill", pid: generation.pid, ms: HARD_STOP_TIME });
  }

  #signal({ pid }: Generation, kind: "soft" | "hard" | "kill"): void {
    this.#do({ do: "signal", pid, kind });
  }

  #all(): Generation[] {
    return [...this.#retired, this.#serving, this.#candidate].filter((one) => one !== undefined);
  }

  #log(level: Level, message: string, about?: Generation, fields: Fields = {}): void {
    const generation = about && { generation: about.number, pid: about.pid };
    this.#do({ do: "log", level, message, fields: { ...generation, ...fields } });
  }

  #do(action: Action): void {
    this.#actions.push(action);
  }
}

function describe(status: ExitStatus): string {
  return "code" in status ? `exited with code ${status.code}` : `ended by signal ${status.signal}`;
}
