/** Looking at all sockets again and again, often enough to notice in time what lasts for a while. */

import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";

/** How many looks there are within the time in which something is to be noticed. */
const LOOKS = 4;
/** Milliseconds between two looks, at least. */
const MIN_PAUSE = 20;

/** See the module's description. */
export class Rounds {
  #timer: number | undefined;
  #isOver = false;
  readonly #pause: number;

  /**
   * @param look does one round; the next one waits for its end
   * @param within milliseconds in which something is to be noticed
   * @param maxPause milliseconds between two looks, at most
   */
  constructor(
    readonly look: () => Promise<void>,
    readonly log: Log,
    within: number,
    maxPause: number,
  ) {
    this.#pause = Math.max(MIN_PAUSE, Math.min(maxPause, within / LOOKS));
  }

  /** Looks in a while, and from then on again and again. */
  begin(): void {
    if (!this.#isOver) this.#timer = setTimeout(() => void this.#go(), this.#pause);
  }

  async #go(): Promise<void> {
    try {
      await this.look();
    } catch (error) {
      this.log.debug("cannot look at the sockets", { error: messageOf(error) });
    }
    this.begin();
  }

  /** Looks no more. */
  end(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }
}
