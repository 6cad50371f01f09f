/** The children of this process, reaped as they end. */

import { SystemError } from "../../ffi/errno.ts";
import { type ExitStatus, reap } from "../../ffi/process.ts";
import { spawn, type SpawnOptions } from "../../ffi/spawn.ts";

/** Milliseconds after which a waitpid(2) that failed is tried again. */
const RETRY = 100;

/** A program that was started. */
export interface Child {
  pid: number;
  exited: Promise<ExitStatus>;
}

/**
 * Starts programs and reaps them; as PID 1 it also reaps the orphans that the kernel gives it. SIGCHLD is enough:
 * its listener is there before the first child, and each signal reaps all children that have ended.
 */
export class Children implements Disposable {
  readonly #waiting = new Map<number, (status: ExitStatus) => void>();
  readonly #onChild = () => this.reapAll();

  constructor() {
    Deno.addSignalListener("SIGCHLD", this.#onChild);
  }

  /**
   * Starts a program.
   * @throws {SystemError} as {@link spawn} does
   */
  start(options: SpawnOptions): Child {
    const pid = spawn(options);
    return { pid, exited: this.watch(pid) };
  }

  /** Waits for a child that an earlier program of this process started. */
  watch(pid: number): Promise<ExitStatus> {
    return new Promise((resolve) => this.#waiting.set(pid, resolve));
  }

  /** Stops reaping. */
  [Symbol.dispose](): void {
    Deno.removeSignalListener("SIGCHLD", this.#onChild);
  }

  /**
   * Reaps all children that have ended. SIGCHLD does this by itself, but in a process that has been upgraded in
   * place it may have come before its listener was there.
   */
  reapAll(): void {
    try {
      for (let ended = reap(); ended !== undefined; ended = reap()) {
        this.#waiting.get(ended.pid)?.(ended.status);
        this.#waiting.delete(ended.pid);
      }
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      // No other signal will come for that child.
      setTimeout(() => this.reapAll(), RETRY);
    }
  }
}
