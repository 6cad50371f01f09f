/** Generations of a server, as a supervisor knows them. */

/** One generation: a process of the server. */
export interface Generation {
  number: number;
  pid: number;
  role: Role;
  told: Told;
}

/**
 * What a generation is here for: the candidate is `starting` until it is up and `settling` until it has
 * proven to stay up, `dropped` when a stop comes before that, or `abandoned` when nobody tells that it is up.
 * Else it is `serving` next, and in the end `retired`.
 */
export type Role = "starting" | "settling" | "dropped" | "abandoned" | "serving" | "retired";

/** What was done to stop it: it was told to stop softly, or hard. */
export type Told = "nothing" | "soft" | "hard";

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
export function snapshotOf({ number, pid, role, told }: Generation): GenerationSnapshot {
  return {
    number,
    pid,
    // At the wrapper's end the one that serves is told to stop as well.
    state: told === "nothing" ? STATES[role] : "draining",
    ...((told === "hard" || role === "abandoned") && { isStopped: true }),
  };
}

/** A generation that an earlier program has started; nothing was starting when it handed over. */
export function generationOf(snapshot: GenerationSnapshot): Generation {
  const { number, pid, state, isStopped } = snapshot;
  if (state === "serving") return { number, pid, role: "serving", told: "nothing" };
  return {
    number,
    pid,
    role: "retired",
    told: isStopped ? "hard" : "soft",
  };
}
