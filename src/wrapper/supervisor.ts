/**
 * The life of generations: a state machine without effects. Events go in, actions come out.
 *
 * A generation is prepared (rendered, sockets fetched, config checked), started, ready (up), and serving
 * once it has stayed up for the settle time. Only then is the one before it retired: it drains, is told to
 * stop hard at the drain cap, and is killed if that does not help. Whatever goes wrong before leaves the
 * serving generation as it is. One reload runs at a time; those asked for meanwhile become one more.
 *
 * The decisions are the tables of transitions.ts; this keeps the state.
 * @module
 */

import { EXIT } from "../errors.ts";
import {
  type Action,
  type Event,
  type EventOf,
  type GenerationEvents,
  HARD_STOP_TIME,
  type SupervisorLimits,
  type WholeEvents,
} from "./events.ts";
import {
  generationOf,
  type GenerationSnapshot,
  snapshotOf,
  type SupervisorSnapshot,
} from "./generation.ts";
import { isStop, type State, Step } from "./step.ts";
import { PHASES, ROLES, STOPS } from "./transitions.ts";

/** See the module's description. */
export class Supervisor {
  #state: State = {
    phase: "idle",
    generations: [],
    lastNumber: 0,
    lastServed: undefined,
    mishaps: 0,
    reloadAgain: false,
    exitCode: EXIT.ok,
  };

  constructor(readonly limits: SupervisorLimits) {}

  /** Whether a start or reload is under way. */
  get busy(): boolean {
    return this.#state.phase === "preparing" || this.#state.phase === "trying";
  }

  /** Whether a stop was asked for. */
  get stopping(): boolean {
    return isStop(this.#state.phase);
  }

  /** Whether this comes to its end: a stop was asked for, or nothing could be started. */
  get ending(): boolean {
    return this.stopping || this.#state.phase === "failed" || this.#state.phase === "ended";
  }

  /** Whether a generation has served. */
  get hasServed(): boolean {
    return this.#state.lastServed !== undefined;
  }

  /** Whether a process is the candidate, wanted still, and not up yet. */
  isStarting(pid: number): boolean {
    return this.#state.generations.some((one) => one.pid === pid && one.role === "starting");
  }

  /** The generation that serves, if one does. */
  get serving(): GenerationSnapshot | undefined {
    return this.snapshot().generations.find(({ state }) => state === "serving");
  }

  /** The generations, oldest first. */
  snapshot(): SupervisorSnapshot {
    const { generations, lastNumber } = this.#state;
    return { generations: generations.map(snapshotOf), lastNumber };
  }

  /**
   * Goes on where an earlier program, which was not busy, has left off. Drain caps begin anew, and so
   * does the time for a hard stop.
   * @returns what is to be done
   */
  restore(snapshot: SupervisorSnapshot): Action[] {
    const generations = snapshot.generations.map(generationOf);
    const { lastNumber } = snapshot;
    const serving = generations.find(({ role }) => role === "serving");
    // Where none serves, one has served: it has ended by itself, and was about to be started again.
    const lastServed = serving?.pid ?? 0;
    const step = new Step({ ...this.#state, generations, lastNumber, lastServed }, this.limits);
    if (serving === undefined) {
      step.state.phase = "preparing";
      step.do({ do: "prepare", isFirst: false });
    }
    for (const generation of step.retired) {
      const { pid, told } = generation;
      const drainCap: Action = {
        do: "timer",
        ms: this.limits.drain,
        then: { type: "drain-timeout", pid },
      };
      if (told === "soft") step.do(drainCap);
      else step.do({ do: "timer", ms: HARD_STOP_TIME, then: { type: "kill-timeout", pid } });
    }
    this.#state = step.state;
    return step.actions;
  }

  /** Takes an event. @returns what is to be done, in this order */
  handle(event: Event): Action[] {
    const { state, actions } = transition(this.#state, event, this.limits);
    this.#state = state;
    return actions;
  }
}

/** What comes of an event: the next state, and what is to be done, in this order. */
export function transition(before: State, event: Event, limits: SupervisorLimits): Step {
  const step = new Step(before, limits);
  if (isOfWhole(event)) takeOfWhole(step, event);
  else takeOfOne(step, event);
  return step;
}

const OF_WHOLE: ReadonlySet<Event["type"]> = new Set<keyof WholeEvents>([
  "reload",
  "prepared",
  "started",
  "failed",
  "stop",
  "stop-timeout",
  "pause-timeout",
]);

function isOfWhole(event: Event): event is EventOf<keyof WholeEvents> {
  return OF_WHOLE.has(event.type);
}

function takeOfWhole<N extends keyof WholeEvents>(step: Step, event: EventOf<N>): void {
  PHASES[step.state.phase][event.type]?.(step, event);
}

/** A pid may be used again, and a timer be that of a generation long gone: hence the tables' gaps. */
function takeOfOne<N extends keyof GenerationEvents>(step: Step, event: EventOf<N>): void {
  const { phase, generations } = step.state;
  const generation = generations.find(({ pid }) => pid === event.pid);
  if (generation === undefined || phase === "ended" || phase === "stopped") return;
  const { role, told } = generation;
  ROLES[role][event.type]?.(step, generation, event);
  STOPS[told][event.type]?.(step, generation, event);
}
