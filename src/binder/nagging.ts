/** How often there is a warning about something that stays wrong: less and less. */

/** Milliseconds between the first two warnings, and between two at most. */
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
  #warnedAt = 0;
  #pause = FIRST_PAUSE;
  #hasWarned = false;

  /**
   * Notes that it is wrong, still or again.
   * @returns whether to warn now
   */
  raise(now: number, message: string, amount = 0): boolean {
    if (!this.isOn) this.since = now;
    this.isOn = true;
    this.message = message;
    this.amount = amount;
    if (this.#warnedAt > 0 && now < this.#warnedAt + this.#pause) return false;
    // What comes back soon is the same story; what was over for long is a new one.
    const isNew = this.#warnedAt === 0 || now > this.#warnedAt + 3 * this.#pause;
    this.#pause = isNew ? FIRST_PAUSE : Math.min(2 * this.#pause, MAX_PAUSE);
    this.#warnedAt = now;
    return this.#hasWarned = true;
  }

  /**
   * Notes that it is wrong no more.
   * @returns whether to say so, which is if there was a warning
   */
  settle(): boolean {
    const hasWarned = this.isOn && this.#hasWarned;
    this.isOn = false;
    this.#hasWarned = false;
    return hasWarned;
  }
}
