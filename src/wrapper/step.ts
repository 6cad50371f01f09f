/** One step of a supervisor: from a state to the next one, with what is to be done. */

import type { Fields, Level } from "../log.ts";
import { type Action, HARD_STOP_TIME, type SupervisorLimits } from "./events.ts";
import type { Generation } from "./generation.ts";

/**
 * What the supervisor is doing. Before a stop: nothing (`idle`), `preparing` a generation, `trying` the candidate that
 * was started, or `pausing` before a server that has ended by itself is started again; it has `failed` when no
 * generation serves and none will. During a stop: `delaying` it, `stopping` softly, or `halting`, which is the hard
 * stop. In the end: `ended` by itself, or `stopped`.
 */
export type Phase =
  | "idle"
  | "preparing"
  | "trying"
  | "pausing"
  | "failed"
  | "delaying"
  | "stopping"
  | "halting"
  | "ended"
  | "stopped";

/** All that a supervisor knows. */
export interface State {
  phase: Phase;
  /** Those that run, oldest first. */
  generations: readonly Generation[];
  /** The number of the generation started last. */
  lastNumber: number;
  /** The pid of the generation that was the last to serve. */
  lastServed: number | undefined;
  /** Starts that failed and ends of the server by itself, since it last served for longer than any pause. */
  failures: number;
  /** Whether a reload was asked for during another one. */
  reloadAgain: boolean;
  exitCode: number;
}

/** Whether a stop was asked for. */
export function isStop(phase: Phase): boolean {
  return ["delaying", "stopping", "halting", "stopped"].includes(phase);
}

/** The next state while it is made, and the actions so far. */
export class Step {
  readonly state: State;
  readonly actions: Action[] = [];

  /** @param before is left as it is */
  constructor(before: State, readonly limits: SupervisorLimits) {
    this.state = { ...before, generations: before.generations.map((one) => ({ ...one })) };
  }

  get serving(): Generation | undefined {
    return this.state.generations.find(({ role }) => role === "serving");
  }

  get candidate(): Generation | undefined {
    return this.state.generations.find(({ role }) =>
      !["serving", "retired", "abandoned"].includes(role)
    );
  }

  get retired(): Generation[] {
    return this.state.generations.filter(({ role }) => role === "retired");
  }

  do(action: Action): void {
    this.actions.push(action);
  }

  log(level: Level, message: string, about?: Generation, fields: Fields = {}): void {
    const generation = about && { generation: about.number, pid: about.pid };
    this.do({ do: "log", level, message, fields: { ...generation, ...fields } });
  }

  /** Stops a generation softly. @param ms the drain cap, in milliseconds */
  stopSoft(generation: Generation, ms = this.limits.drain): void {
    const { pid } = generation;
    generation.stop = "soft";
    this.do({ do: "signal", pid, kind: "soft" });
    this.do({ do: "timer", ms, then: { type: "drain-timeout", pid } });
  }

  /** Stops a generation hard. */
  stopHard(generation: Generation): void {
    const { pid } = generation;
    generation.stop = "hard";
    // The time counts from here: before the signal is sent, the connections that it cuts are counted.
    this.do({ do: "timer", ms: HARD_STOP_TIME, then: { type: "kill-timeout", pid } });
    this.do({ do: "signal", pid, kind: "hard" });
  }

  /** Ends the wrapper, once. */
  exit(): void {
    const { phase, exitCode: code, lastServed: served } = this.state;
    if (phase === "ended" || phase === "stopped") return;
    this.do({ do: "exit", code, served });
    this.state.phase = isStop(phase) ? "stopped" : "ended";
  }

  /** Ends the wrapper when there is no generation left to wait for. A preparation is not waited for. */
  exitIfOver(): void {
    const { phase, generations } = this.state;
    if (isStop(phase)) {
      if (generations.length === 0) this.exit();
    } else if (phase === "failed") {
      // No generation serves: waiting for long drains would only delay the restart.
      const hasLittleTime = ({ role, stop }: Generation) => role === "abandoned" || stop === "hard";
      if (!generations.some(hasLittleTime)) this.exit();
    }
  }
}
