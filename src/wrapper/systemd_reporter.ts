/** What systemd is told of a wrapper. */

import type { Notifier } from "../systemd/notify.ts";
import { type Action, HARD_STOP_TIME } from "./events.ts";
import type { Supervisor } from "./supervisor.ts";

/** What a stop may take beyond its own limits, in milliseconds. */
const MARGIN = 5000;

/** Reports what a supervisor decides. */
export class SystemdReporter {
  /** Why the last reload failed. */
  #failure: string | undefined;
  #stopping = false;

  /** @param startTime milliseconds that the start of a generation may take, checks and all */
  constructor(
    readonly notifier: Notifier,
    readonly supervisor: Supervisor,
    readonly startTime: number,
  ) {}

  /** Reports what the supervisor has just decided. */
  report(actions: readonly Action[]): void {
    if (this.supervisor.stopping) this.#reportStop();
    else actions.forEach((action) => this.#reportAction(action));
    this.notifier.status(this.#describe());
  }

  /** Reports that this program goes on where an earlier one has left off. */
  resumed(): void {
    this.notifier.ready();
    this.notifier.status(this.#describe());
  }

  #reportAction(action: Action): void {
    if (action.do === "prepare") {
      if (this.supervisor.serving !== undefined) this.notifier.reloading();
      this.notifier.extendTimeout(this.startTime + MARGIN);
    } else if (action.do === "outcome") {
      this.#failure = action.ok ? undefined : action.message;
      // After a reload that failed the old generation goes on: the service is ready again in either case.
      if (this.supervisor.serving !== undefined) this.notifier.ready();
    }
  }

  #reportStop(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.notifier.stopping();
    const { stopDelay, drain } = this.supervisor.limits;
    this.notifier.extendTimeout(stopDelay + drain + HARD_STOP_TIME + MARGIN);
  }

  #describe(): string {
    const { generations } = this.supervisor.snapshot();
    if (this.supervisor.stopping) return `stopping, ${generations.length} draining`;
    const texts = { starting: "starts", serving: "serves" };
    const current = generations.flatMap(({ number, state }) =>
      state === "draining" ? [] : `generation ${number} ${texts[state]}`
    );
    const draining = generations.filter(({ state }) => state === "draining").length;
    if (draining > 0) current.push(`${draining} draining`);
    if (this.#failure !== undefined) {
      const what = this.supervisor.serving === undefined ? "the start" : "the last reload";
      current.push(`${what} failed: ${this.#failure}`);
    }
    const next = this.supervisor.hasServed
      ? "the server has ended by itself, starting it again"
      : "preparing the first generation";
    return current.join(", ") || next;
  }
}
