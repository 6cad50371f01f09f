/** Long work in pieces, so that everybody else has a turn between two of them. */

/** Milliseconds of a piece. */
const PIECE = 2;

/** Those that go on in the next turns, one a turn: together they take no more than one would. */
const waiting: (() => void)[] = [];
let since = performance.now();

/**
 * Ends this piece of a long work if there has been enough of such work since the last turn of the event loop.
 * Between two calls there should be no more than a millisecond of work.
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

/** Lets a few at a time do something; the others wait, the trusted before all. */
export class Queue {
  readonly #waiting: { trusted: boolean; resolve: () => void }[] = [];

  /** @param free how many at a time */
  constructor(private free: number) {}

  /**
   * Does something when it is its turn.
   * @param trusted whether it goes before those who are not
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
