/** A process of the server. */

import type { SignalName } from "../../ffi/constants.ts";
import { type ExitStatus, sendSignal } from "../../ffi/process.ts";
import { descendsFrom } from "../process/origin.ts";
import { descendantsOf } from "../process/socket_use.ts";

/**
 * A generation's process. No signal is sent and no timer fires once it was reaped, when another process may have its
 * pid.
 */
export class ServerProcess {
  readonly #timers = new Set<number>();
  #isRunning = true;
  /** How it ended. */
  readonly exited: Promise<ExitStatus>;

  /**
   * @param exited when and how it is reaped
   * @param mainPid gives the descendant that its signals are for, if it has named one
   */
  constructor(
    readonly pid: number,
    exited: Promise<ExitStatus>,
    readonly mainPid?: () => number | undefined,
  ) {
    this.exited = exited.then((status) => {
      this.#isRunning = false;
      this.#timers.forEach((id) => clearTimeout(id));
      return status;
    });
  }

  /**
   * Sends it a signal. SIGKILL goes to its descendants as well, since workers can go on without their master.
   * @returns false when it has ended
   * @throws {SystemError} EPERM
   */
  signal(name: SignalName): boolean {
    if (!this.#isRunning) return false;
    if (name === "SIGKILL") {
      const workers = descendantsOf(this.pid);
      const isThere = sendSignal(this.pid, name);
      workers.forEach((pid) => sendSignal(pid, name));
      return isThere;
    }
    const main = this.mainPid?.();
    // It may have ended since it was named, and its pid be another's.
    const isThere = main !== undefined && descendsFrom(main, this.pid);
    return sendSignal(isThere ? main : this.pid, name);
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
