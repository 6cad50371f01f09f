/** Warnings about what clients do wrong: a line each at first, then one line with the number of those that followed. */

import { describeDuration } from "../duration.ts";
import type { Fields, Log } from "../log.ts";

/** Lines of a kind, about a user, that are written in a period; and how long that is, in milliseconds. */
const SINGLE = 20;
const PERIOD = 60_000;

/** See the module's description. */
export class Repeats {
  readonly #counts = new Map<string, { count: number; timer: number }>();
  #isClosed = false;

  constructor(readonly log: Log, readonly period: number = PERIOD) {}

  /** Warns, or counts. */
  warn(message: string, fields: Fields & { uid: number }): void {
    // At the end of the program a client may just be answered.
    if (this.#isClosed) return this.log.warn(message, fields);
    const key = `${fields.uid} ${message}`;
    const entry = this.#counts.get(key) ??
      { count: 0, timer: setTimeout(() => this.#sumUp(key, message, fields.uid), this.period) };
    this.#counts.set(key, entry);
    if (++entry.count <= SINGLE) this.log.warn(message, fields);
  }

  /** Forgets what was counted, and counts no more. */
  close(): void {
    this.#isClosed = true;
    for (const [key, { timer }] of this.#counts) {
      clearTimeout(timer);
      this.#counts.delete(key);
    }
  }

  #sumUp(key: string, message: string, uid: number): void {
    const more = (this.#counts.get(key)?.count ?? 0) - SINGLE;
    this.#counts.delete(key);
    if (more <= 0) return;
    this.log.warn(message, { uid, more, within: describeDuration(this.period) });
  }
}
