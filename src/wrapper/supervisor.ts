/**
 * The life of generations: a state machine without effects. Events go in, actions come out.
 *
 * A generation is prepared (rendered, sockets fetched, config checked), started, ready (up), and serving
 * once it has stayed up for the settle time. Only then is the one before it retired: it drains, is told to
 * stop hard at the drain cap, and is killed if it does not obey. Whatever goes wrong before that leaves the
 * serving generation as it is. One reload runs at a time; those asked for meanwhile become one more.
 *
 * The decisions are in the tables of transitions.ts; the state is kept here.
 * @module
 */

import { EXIT } from "../errors.ts";
import {
  type Action,
  type Event,
  type EventOf,
  type GenerationEvents,
  HARD_STOP_TIME,
  type PhaseEvents,
  type SupervisorLimits,
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
    failures: 0,
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

  /** Whether the wrapper is going to end: a stop was asked for, or nothing could be started. */
  get ending(): boolean {
    return this.stopping || this.#state.phase === "failed" || this.#state.phase === "ended";
  }

  /** Whether a generation has served. */
  get hasServed(): boolean {
    return this.#state.lastServed !== undefined;
  }

  /** Whether a process is the candidate, which is not up yet and was not given up. */
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
    // Where no generation serves, the last one has ended by itself, and the server was about to be started again.
    const lastServed = serving?.pid ?? 0;
    const step = new Step({ ...this.#state, generations, lastNumber, lastServed }, this.limits);
    if (serving === undefined) {
      step.state.phase = "preparing";
      step.do({ do: "prepare", isFirst: false });
    }
    for (const generation of step.retired) {
      const { pid, stop } = generation;
      step.do(
        stop === "soft"
          ? { do: "timer", ms: this.limits.drain, then: { type: "drain-timeout", pid } }
          : { do: "timer", ms: HARD_STOP_TIME, then: { type: "kill-timeout", pid } },
      );
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
  if (isPhaseEvent(event)) takePhaseEvent(step, event);
  else takeGenerationEvent(step, event);
  return step;
}

const PHASE_EVENTS: ReadonlySet<Event["type"]> = new Set<keyof PhaseEvents>([
  "reload",
  "prepared",
  "started",
  "failed",
  "stop",
  "stop-timeout",
  "pause-timeout",
]);

function isPhaseEvent(event: Event): event is EventOf<keyof PhaseEvents> {
  return PHASE_EVENTS.has(event.type);
}

function takePhaseEvent<N extends keyof PhaseEvents>(step: Step, event: EventOf<N>): void {
  PHASES[step.state.phase][event.type]?.(step, event);
}

/** A late event finds no generation, or one with the same pid whose row does not name the event. */
function takeGenerationEvent<N extends keyof GenerationEvents>(
  step: Step,
  event: EventOf<N>,
): void {
  const { phase, generations } = step.state;
  const generation = generations.find(({ pid }) => pid === event.pid);
  if (generation === undefined || phase === "ended" || phase === "stopped") return;
  const { role, stop } = generation;
  ROLES[role][event.type]?.(step, generation, event);
  STOPS[stop][event.type]?.(step, generation, event);
}
