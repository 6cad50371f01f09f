/** Which generation a process belongs to: by the marks that it carries, or else by what wrappers tell. */

import type { AttachedWrapper, GenerationReport } from "../control/reports.ts";
import { descendsFrom } from "../process/origin.ts";
import type { Holder } from "../process/socket_holders.ts";

/** What is known of a process's generation. */
export interface KnownGeneration {
  number: number | null;
  /** Whether another generation has taken its place. */
  isDraining: boolean;
}

/** See the module's description. */
export class KnownGenerations {
  readonly #known = new Map<number, KnownGeneration | null>();
  /** The generations whose pids mean the same here as to the wrapper that tells of them. */
  #seen: readonly GenerationReport[] | undefined;

  /** @param wrappers those that are connected to the binder */
  constructor(readonly wrappers: readonly AttachedWrapper[]) {}

  /** @returns null for a process that no wrapper has started, as far as can be seen */
  of(holder: Holder): KnownGeneration | null {
    let known = this.#known.get(holder.pid);
    if (known === undefined) {
      this.#known.set(holder.pid, known = this.#byMarks(holder) ?? this.#byDescent(holder.pid));
    }
    return known;
  }

  /** By marks, which mean the same everywhere, as pids do not in containers. */
  #byMarks({ generation }: Holder): KnownGeneration | undefined {
    if (generation === null) return undefined;
    const { service, wrapper, number } = generation;
    const isDraining = this.wrappers.some(({ report }) =>
      report?.service === service && report.self === wrapper &&
      report.generations.some((one) => one.number === number && one.state === "draining")
    );
    return { number, isDraining };
  }

  /** By its parents: some servers overwrite their environment, or start their workers without it. */
  #byDescent(pid: number): KnownGeneration | null {
    this.#seen ??= this.wrappers.flatMap(({ report }) =>
      report?.generations.filter((one) => descendsFrom(one.pid, report.self)) ?? []
    );
    const found = this.#seen.find((one) => one.pid === pid || descendsFrom(pid, one.pid));
    return found ? { number: found.number, isDraining: found.state === "draining" } : null;
  }
}
