/** The outcomes of reloads, for those who wait for one and those who ask later. */

/** The outcome of a reload, or of the first start. */
export interface ReloadOutcome {
  at: string;
  ok: boolean;
  message: string;
}

/** Remembers the last reload's outcome, and tells it to those who asked for that reload. */
export class Reloads {
  last: ReloadOutcome | null = null;
  readonly #waiting: { left: number; resolve: (outcome: ReloadOutcome) => void }[] = [];

  /**
   * Waits for the outcome of the reload that was just asked for.
   * @param behind whether another is under way, whose outcome comes first
   */
  outcome(behind: boolean): Promise<ReloadOutcome> {
    return new Promise((resolve) => this.#waiting.push({ left: behind ? 2 : 1, resolve }));
  }

  /** Notes an outcome. */
  finished(ok: boolean, message: string): void {
    const outcome = this.last = { at: new Date().toISOString(), ok, message };
    for (const waiter of this.#waiting.splice(0)) {
      if (--waiter.left > 0) this.#waiting.push(waiter);
      else waiter.resolve(outcome);
    }
  }
}
