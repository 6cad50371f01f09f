/** How often something that goes on being wrong is told: less and less. */

/** Milliseconds between the first two times, and at most. */
const FIRST_PAUSE = 10_000;
const MAX_PAUSE = 3_600_000;

/** Something that is wrong, or was. */
export class Nagging {
  isOn = false;
  /** Since when it is wrong, in milliseconds since 1970. */
  since = 0;
  message = "";
  /** How much there was of it, where that is counted. */
  amount = 0;
  #toldAt = 0;
  #pause = FIRST_PAUSE;
  #isTold = false;

  /**
   * It is wrong, still or again.
   * @returns whether that is to be told now
   */
  raise(now: number, message: string, amount = 0): boolean {
    if (!this.isOn) this.since = now;
    this.isOn = true;
    this.message = message;
    this.amount = amount;
    if (this.#toldAt > 0 && now < this.#toldAt + this.#pause) return false;
    // What comes back soon is the same story; what was over for long is a new one.
    const isNew = this.#toldAt === 0 || now > this.#toldAt + 3 * this.#pause;
    this.#pause = isNew ? FIRST_PAUSE : Math.min(2 * this.#pause, MAX_PAUSE);
    this.#toldAt = now;
    return this.#isTold = true;
  }

  /**
   * It is wrong no more.
   * @returns whether that is to be told: if it was told that it is wrong
   */
  settle(): boolean {
    const isTold = this.isOn && this.#isTold;
    this.isOn = false;
    this.#isTold = false;
    return isTold;
  }
}
