/** Long work in pieces, so that all other work has a turn of the event loop between two of them. */

/** Milliseconds of a piece. */
const PIECE = 2;

/** Long works that wait to go on, one in each turn: together they take no more of it than one would. */
const waiting: (() => void)[] = [];
/** When the last turn was given. */
let since = performance.now();

/**
 * Ends a piece of a long work, if there has been enough of such work since the last turn of the event loop. To be
 * called at least once in each millisecond of the work.
 * @returns a promise of the next turn, to be awaited; undefined when the work can go on at once
 */
export function giveTurn(): Promise<void> | undefined {
  if (performance.now() - since < PIECE) return undefined;
  return new Promise((resolve) => {
    waiting.push(resolve);
    if (waiting.length === 1) setTimeout(goOn, 0);
  });
}

function goOn(): void {
  since = performance.now();
  waiting.shift()?.();
  if (waiting.length > 0) setTimeout(goOn, 0);
}

/** Lets only a few actions run at a time; the others wait their turn, the trusted ones before the rest. */
export class Queue {
  readonly #waiting: { trusted: boolean; resolve: () => void }[] = [];

  /** @param free how many may run at a time */
  constructor(private free: number) {}

  /**
   * Runs an action when it is its turn.
   * @param trusted whether it goes before those that are not
   */
  async run<T>(action: () => T | Promise<T>, trusted = false): Promise<T> {
    if (this.free > 0) this.free--;
    else await new Promise<void>((resolve) => this.#waiting.push({ trusted, resolve }));
    try {
      return await action();
    } finally {
      const first = this.#waiting.findIndex(({ trusted }) => trusted);
      const [next] = this.#waiting.splice(Math.max(0, first), 1);
      if (next === undefined) this.free++;
      else next.resolve();
    }
  }
}
