/** Generations of a server, as a supervisor knows them. */

/** One generation: a process of the server. */
export interface Generation {
  number: number;
  pid: number;
  role: Role;
  stop: Stop;
}

/**
 * What a generation is for. A new one is the candidate: `starting` until it is up, then `settling` until it has stayed
 * up for the settle time. Then it is `serving`, and `retired` once the next one serves. A candidate that has not got so
 * far is `dropped` when the wrapper is told to stop, and `abandoned` when no sign came that it is up.
 */
export type Role = "starting" | "settling" | "dropped" | "abandoned" | "serving" | "retired";

/** The stop that a generation was told: once its connections have ended, or at once. */
export type Stop = "none" | "soft" | "hard";

/** The generations, for `status` and for a successor. */
export interface SupervisorSnapshot {
  generations: GenerationSnapshot[];
  lastNumber: number;
}

/** A generation for others to see. */
export interface GenerationSnapshot {
  number: number;
  pid: number;
  state: "starting" | "serving" | "draining";
  /** It was told to stop hard, or will be within seconds. */
  isStopped?: true;
}

const STATES = {
  starting: "starting",
  settling: "starting",
  dropped: "starting",
  abandoned: "draining",
  serving: "serving",
  retired: "draining",
} as const;

/** Makes a snapshot of a generation. */
export function snapshotOf({ number, pid, role, stop }: Generation): GenerationSnapshot {
  return {
    number,
    pid,
    // At the wrapper's end the one that serves is told to stop as well.
    state: stop === "none" ? STATES[role] : "draining",
    ...((stop === "hard" || role === "abandoned") && { isStopped: true }),
  };
}

/** A generation that an earlier program has started; nothing was starting when it handed over. */
export function generationOf(snapshot: GenerationSnapshot): Generation {
  const { number, pid, state, isStopped } = snapshot;
  if (state === "serving") return { number, pid, role: "serving", stop: "none" };
  return { number, pid, role: "retired", stop: isStopped ? "hard" : "soft" };
}
