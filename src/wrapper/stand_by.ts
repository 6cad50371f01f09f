/**
 * Waiting for another binder to take the place of one that takes no sockets back. Another file at the path of the
 * control socket shows it; where systemd owns that socket the file stays, and the end of an idle connection shows it.
 * @module
 */

import type { ControlClient } from "../control/client.ts";
import { NoBinderError } from "../control/client_errors.ts";

/**
 * The longest pause between two attempts to reach a binder, in milliseconds: shorter than the time for which a binder
 * that starts waits for sockets to be handed back.
 */
export const MAX_RETRY = 1600;

/** Remembers which binder refuses, and waits until another one is there. */
export class StandBy {
  /** The control socket's file when its binder refused; undefined when none did, or there was no file. */
  #refusing: string | undefined;
  /** Whether that binder is the original multibinder, which serves one client at a time. */
  #isOriginal = false;
  #isWaiting = false;

  /**
   * @param path of the control socket
   * @param dial connects to it
   * @param closing ends the wait
   */
  constructor(
    readonly path: string,
    readonly dial: () => ControlClient,
    readonly closing: AbortSignal,
  ) {}

  /** Whether the binder that is there now is the one that refused. */
  get refuses(): boolean {
    return this.#refusing !== undefined && this.#refusing === this.file();
  }

  /** Notes that the binder takes sockets back. */
  accepted(): void {
    this.#refusing = undefined;
  }

  /**
   * Notes that a binder refuses.
   * @param file of the control socket, from before it was asked
   * @returns whether it is another one than before
   */
  refused(file: string | undefined, isOriginal: boolean): boolean {
    const isAnother = file !== this.#refusing;
    this.#refusing = file;
    this.#isOriginal = isOriginal;
    return isAnother;
  }

  /** The file of the control socket, as far as it can be told from the next one there. */
  file(): string | undefined {
    try {
      const { dev, ino, mtime } = Deno.statSync(this.path);
      return `${dev}:${ino}:${mtime?.getTime()}`;
    } catch {
      return undefined;
    }
  }

  /** Waits until another binder may be there. @returns false where another call waits already, or at the end */
  async replaced(): Promise<boolean> {
    if (this.#isWaiting) return false;
    this.#isWaiting = true;
    let mayBeAnother = false;
    let idle: ControlClient | undefined;
    try {
      idle = this.#isOriginal ? undefined : this.dial();
      void idle?.gone().then(() => mayBeAnother = true);
    } catch (error) {
      if (!(error instanceof NoBinderError)) throw error;
      mayBeAnother = true;
    }
    let file: string | undefined;
    do {
      await pause(MAX_RETRY, this.closing);
      file = this.file();
    } while (
      !this.closing.aborted && (file === undefined || file === this.#refusing && !mayBeAnother)
    );
    idle?.close();
    this.#isWaiting = false;
    return !this.closing.aborted;
  }
}

/** Waits for so many milliseconds, or until `closing`. */
export function pause(ms: number, closing: AbortSignal): Promise<void> {
  if (closing.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      closing.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    closing.addEventListener("abort", end);
  });
}
