/** What a wrapper has done so far, counted for metrics by the events and actions of its supervisor. */

import { byLabel, type Metric, metric } from "../control/exposition.ts";
import { natural, object, orAbsent, table } from "../process/shape.ts";
import type { Action, Event } from "./events.ts";
import { Histogram, histogramShape, type HistogramState } from "./histogram.ts";

/** Bounds in seconds. A reload takes the settle time at least; a drain may take as long as `--drain`. */
const RELOAD_BOUNDS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];
const DRAIN_BOUNDS = [0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600];

/** The counters, for a successor. Times are milliseconds since 1970. */
export interface CountersState {
  succeeded: number;
  failed: number;
  lastSuccess?: number;
  cut: number;
  reload: HistogramState;
  drain: HistogramState;
  /** Since when each process drains, by its pid. */
  draining: Record<string, number>;
}

/** What a state of counters looks like. */
export const countersShape = object<CountersState>({
  succeeded: natural,
  failed: natural,
  lastSuccess: orAbsent(natural),
  cut: natural,
  reload: histogramShape,
  drain: histogramShape,
  draining: table(natural),
});

/** See the module's description. */
export class Counters {
  #succeeded = 0;
  #failed = 0;
  #lastSuccess: number | undefined;
  #cut = 0;
  readonly #reload = new Histogram(RELOAD_BOUNDS);
  readonly #drain = new Histogram(DRAIN_BOUNDS);
  #draining = new Map<number, number>();
  #reloadingSince: number | undefined;

  /** Counts what an event and the actions that it led to mean. */
  follow(event: Event, actions: readonly Action[], now: number = Date.now()): void {
    if (event.type === "exited") this.#ended(event.pid, now);
    for (const action of actions) {
      if (action.do === "prepare") this.#reloadingSince = now;
      else if (action.do === "outcome") this.#outcome(action.ok, now);
      else if (action.do === "signal" && action.kind === "soft") this.#drains(action.pid, now);
      else if (action.do === "signal" && action.kind === "hard" && this.#draining.has(action.pid)) {
        this.#cut++;
      }
    }
  }

  get state(): CountersState {
    return {
      succeeded: this.#succeeded,
      failed: this.#failed,
      ...(this.#lastSuccess !== undefined && { lastSuccess: this.#lastSuccess }),
      cut: this.#cut,
      reload: this.#reload.state,
      drain: this.#drain.state,
      draining: Object.fromEntries(this.#draining),
    };
  }

  /** Goes on with what the program before has counted. */
  resume(state: CountersState): void {
    this.#succeeded = state.succeeded;
    this.#failed = state.failed;
    this.#lastSuccess = state.lastSuccess;
    this.#cut = state.cut;
    this.#reload.resume(state.reload);
    this.#drain.resume(state.drain);
    this.#draining = new Map(Object.entries(state.draining).map(([pid, at]) => [Number(pid), at]));
  }

  /** As metrics. */
  metrics(): Metric[] {
    const last = this.#lastSuccess;
    return [
      byLabel(
        "multibinder_reloads_total",
        "counter",
        "Starts and reloads of the server that have come to an end, by their outcome",
        "outcome",
        { success: this.#succeeded, failure: this.#failed },
      ),
      this.#reload.metric(
        "multibinder_reload_duration_seconds",
        "From the begin of a start or reload to its outcome, the settle time included",
      ),
      this.#drain.metric(
        "multibinder_drain_duration_seconds",
        "From the soft stop of a generation to its end",
      ),
      metric(
        "multibinder_drains_cut_total",
        "counter",
        "Drains that were ended by a hard stop, which cuts the connections left",
        this.#cut,
      ),
      ...last === undefined ? [] : [metric(
        "multibinder_config_last_reload_success_timestamp_seconds",
        "gauge",
        "When the last start or reload that worked was done, in seconds since 1970",
        last / 1000,
      )],
    ];
  }

  #outcome(ok: boolean, now: number): void {
    if (ok) {
      this.#succeeded++;
      this.#lastSuccess = now;
    } else this.#failed++;
    if (this.#reloadingSince !== undefined) this.#reload.add((now - this.#reloadingSince) / 1000);
    this.#reloadingSince = undefined;
  }

  #drains(pid: number, now: number): void {
    if (!this.#draining.has(pid)) this.#draining.set(pid, now);
  }

  #ended(pid: number, now: number): void {
    const since = this.#draining.get(pid);
    if (since !== undefined) this.#drain.add((now - since) / 1000);
    this.#draining.delete(pid);
  }
}
