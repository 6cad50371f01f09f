/** A process of the server. */

import type { SignalName } from "../../ffi/constants.ts";
import { type ExitStatus, sendSignal } from "../../ffi/process.ts";

/**
 * A generation's process, for as long as it runs: neither a signal nor a timer that is meant for it reaches
 * another process that gets its pid later.
 */
export class ServerProcess {
  readonly #timers = new Set<number>();
  #isRunning = true;
  /** How it ended. */
  readonly exited: Promise<ExitStatus>;

  /** @param exited when and how it is reaped */
  constructor(readonly pid: number, exited: Promise<ExitStatus>) {
    this.exited = exited.then((status) => {
      this.#isRunning = false;
      this.#timers.forEach((id) => clearTimeout(id));
      return status;
    });
  }

  /** Whether it was not reaped yet. */
  get isRunning(): boolean {
    return this.#isRunning;
  }

  /**
   * Sends it a signal.
   * @returns false when it has ended
   * @throws {SystemError} EPERM
   */
  signal(name: SignalName): boolean {
    return this.#isRunning && sendSignal(this.pid, name);
  }

  /** Does something in so many milliseconds, if it still runs by then. */
  after(ms: number, action: () => void): void {
    const id = setTimeout(() => {
      this.#timers.delete(id);
      action();
    }, ms);
    this.#timers.add(id);
  }
}
