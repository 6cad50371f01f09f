/** What happens to generations, and what is to be done about it: a supervisor's events and actions. */

import type { ExitStatus } from "../../ffi/process.ts";
import type { Fields, Level } from "../log.ts";
import type { Preparation } from "./preparation.ts";

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
  /** Between the first request to stop and the stop, so that load balancers can notice that one was asked for. */
  stopDelay: number;
  /** The longest pause before a server that has ended by itself is started again; 0 to end with the server. */
  restart: number;
}

/** How long a hard stop may take before the kill, in milliseconds. */
export const HARD_STOP_TIME = 5000;

/** The events that are about no single generation, and what each carries. The phase says what they lead to. */
export interface PhaseEvents {
  /** A reload is wanted, or the first start. */
  reload: unknown;
  /** A preparation has succeeded. */
  prepared: { preparation: Preparation };
  /** The generation that was to be started runs. */
  started: { pid: number };
  /** Preparing or starting failed. */
  failed: { why: string; exitCode: number };
  /** A stop is wanted; a second time, a hard one. */
  stop: unknown;
  /** The delay before the stop is over. */
  "stop-timeout": unknown;
  /** The pause before the server is started again is over. */
  "pause-timeout": unknown;
}

/** The events about one generation, and what each carries. */
export interface GenerationEvents {
  /** It is up. */
  ready: { pid: number };
  /** It can no longer be learnt whether it is up. */
  unready: { pid: number; why: string };
  /** Its time to come up is over. `said` is what it has written so far, `awaited` the sign, where these are known. */
  "ready-timeout": { pid: number; said?: readonly string[]; awaited?: string };
  /** It has stayed up for the settle time. */
  "settle-timeout": { pid: number };
  /** It has served for longer than any pause before a restart. */
  "proven-timeout": { pid: number };
  /** Its time to finish its connections is over. */
  "drain-timeout": { pid: number };
  /** Its time to obey the hard stop is over. */
  "kill-timeout": { pid: number };
  /** It has ended. `said` is what it wrote last, where that is known. */
  exited: { pid: number; status: ExitStatus; said?: readonly string[] };
}

type Events = PhaseEvents & GenerationEvents;

/** One of the events with these names. */
export type EventOf<Name extends keyof Events> = { [N in Name]: { type: N } & Events[N] }[Name];

/** Something that happened. */
export type Event = EventOf<keyof Events>;

/** Something that the wrapper is to do. It carries all that doing it takes. */
export type Action =
  /**
   * Prepare a generation; the event `prepared` or `failed` follows. `isFirst`, here and below, means that no
   * generation has served before it, so that this is a start and no reload.
   */
  | { do: "prepare"; isFirst: boolean }
  /** Start what was prepared; the event `started` or `failed` follows. */
  | { do: "start"; generation: number; preparation: Preparation }
  | { do: "signal"; pid: number; kind: "soft" | "hard" | "kill" }
  /** Give the supervisor the event `then` in so many milliseconds, unless it is about a process that has ended. */
  | { do: "timer"; ms: number; then: Event }
  /** The candidate serves from now on. */
  | { do: "commit"; pid: number; isFirst: boolean }
  /** The candidate is given up. */
  | { do: "rollback" }
  /** How a start or reload went. */
  | { do: "outcome"; ok: boolean; message: string; isFirst: boolean }
  /** Give up the sockets from which no process will accept any more, so that clients do not wait in vain. */
  | { do: "withdraw" }
  | { do: "log"; level: Level; message: string; fields: Fields }
  /** End, with the server's exit code; `served` is the generation that was the last to serve. */
  | { do: "exit"; code: number; served: number | undefined };
