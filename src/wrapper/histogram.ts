/** How long things have taken, counted by upper bounds. */

import { labelled, Metric } from "../control/exposition.ts";
import { list, natural, object, type Shape, ShapeError } from "../process/shape.ts";

/** A histogram, for a successor. */
export interface HistogramState {
  /** One for each bound, and a last one for what is above them all. */
  counts: number[];
  /** The sum of all times, in seconds. */
  sum: number;
}

const seconds: Shape<number> = (value, at) => {
  if (typeof value === "number" && value >= 0 && Number.isFinite(value)) return value;
  throw new ShapeError(at, "a number of seconds", value);
};

/** What a state of a histogram looks like. */
export const histogramShape = object<HistogramState>({ counts: list(natural), sum: seconds });

/** See the module's description. */
export class Histogram {
  #counts: number[];
  #sum = 0;

  /** @param bounds upper ones in seconds, ascending */
  constructor(readonly bounds: readonly number[]) {
    this.#counts = [...bounds, Infinity].map(() => 0);
  }

  /** Counts something that has taken so many seconds. */
  add(taken: number): void {
    const at = this.bounds.findIndex((bound) => taken <= bound);
    const index = at < 0 ? this.bounds.length : at;
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#sum += Math.max(0, taken);
  }

  get state(): HistogramState {
    return { counts: this.#counts, sum: this.#sum };
  }

  /** Goes on with what the program before has counted, if it had the same bounds. */
  resume({ counts, sum }: HistogramState): void {
    if (counts.length !== this.#counts.length) return;
    this.#counts = counts;
    this.#sum = sum;
  }

  /** As a metric, whose counts are cumulative. */
  metric(name: string, help: string): Metric {
    const metric = new Metric(name, "histogram", help);
    let count = 0;
    this.#counts.forEach((one, index) => {
      const le = String(this.bounds[index] ?? "+Inf");
      metric.add(count += one, labelled({ le }), "_bucket");
    });
    return metric.add(this.#sum, "", "_sum").add(count, "", "_count");
  }
}
