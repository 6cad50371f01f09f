/** What happens to generations, and what is to be done about it: a supervisor's events and actions. */

import type { ExitStatus } from "../../ffi/process.ts";
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
  /** The longest pause before a server that has ended by itself is started again; 0 when its end is ours. */
  restart: number;
}

/** How long a hard stop may take before the kill, in milliseconds. */
export const HARD_STOP_TIME = 5000;

/** The events about the whole, and what each tells. */
export interface WholeEvents {
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

/** The events about one generation, and what each tells. */
export interface GenerationEvents {
  /** It is up. */
  ready: { pid: number };
  /** Nobody will tell whether it is up. */
  unready: { pid: number; why: string };
  /** It should be up by now; with what it said so far, as far as that is known. */
  "ready-timeout": { pid: number; said?: readonly string[] };
  /** It has stayed up for the settle time. */
  "settle-timeout": { pid: number };
  /** It has served for longer than any pause before a restart. */
  "proven-timeout": { pid: number };
  /** It should have finished its connections by now. */
  "drain-timeout": { pid: number };
  /** It should have obeyed the hard stop by now. */
  "kill-timeout": { pid: number };
  /** It has ended; with what it said last, as far as that is known of one that has not served yet. */
  exited: { pid: number; status: ExitStatus; said?: readonly string[] };
}

type Events = WholeEvents & GenerationEvents;

/** One of the events with these names. */
export type EventOf<Name extends keyof Events> = { [N in Name]: { type: N } & Events[N] }[Name];

/** Something that happened. */
export type Event = EventOf<keyof Events>;

/** Something to do. It carries all that doing it takes. */
export type Action =
  /**
   * Prepare a generation; `prepared` or `failed` tells how that went. `isFirst`, here and below: none served
   * before it, so that this is a start and no reload.
   */
  | { do: "prepare"; isFirst: boolean }
  /** Start what was prepared; `started` or `failed` tells how that went. */
  | { do: "start"; generation: number; preparation: Preparation }
  | { do: "signal"; pid: number; kind: "soft" | "hard" | "kill" }
  /** Tell the event `then` in so many milliseconds, unless it is about a process that has ended. */
  | { do: "timer"; ms: number; then: Event }
  /** The candidate serves from now on. */
  | { do: "commit"; pid: number; isFirst: boolean }
  /** The candidate is given up. */
  | { do: "rollback" }
  /** How a start or reload went. */
  | { do: "outcome"; ok: boolean; message: string; isFirst: boolean }
  /** Nobody will accept connections any more: clients are not to wait for it. */
  | { do: "withdraw" }
  | { do: "log"; level: Level; message: string; fields: Fields }
  /** End, with the server's exit code; `served` is the generation that was the last to serve. */
  | { do: "exit"; code: number; served: number | undefined };
