/** File descriptors with one owner each. */

import { check } from "./errno.ts";
import {
  F_DUPFD_CLOEXEC,
  F_GETFD,
  F_GETFL,
  F_SETFD,
  F_SETFL,
  FD_CLOEXEC,
  O_NONBLOCK,
} from "./constants.ts";
import { libc } from "./libc.ts";

/** An open file descriptor. Whoever holds the `Fd` closes it; `using` does so at the block's end. */
export class Fd implements Disposable {
  #number: number;

  /** @param number an open descriptor that nobody else will close */
  constructor(number: number) {
    this.#number = number;
  }

  /** A descriptor that came through execve, close-on-exec from now on. */
  static inherited(number: number): Fd {
    const fd = new Fd(number);
    fd.closeOnExec = true;
    return fd;
  }

  /**
   * The descriptor's number.
   * @throws {Error} once it was closed or released, so that a reused number is never touched
   */
  get number(): number {
    if (this.#number < 0) throw new Error("file descriptor used after it was closed");
    return this.#number;
  }

  get closed(): boolean {
    return this.#number < 0;
  }

  /** Closes it; a second time does nothing. */
  close(): void {
    const number = this.release();
    // close(2) is not repeated on EINTR: Linux has freed the number by then.
    if (number >= 0) libc().close(number);
  }

  /** Gives up ownership and returns the number, which stays open; -1 when it was closed. */
  release(): number {
    const number = this.#number;
    this.#number = -1;
    return number;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * A second descriptor of the same open file, close-on-exec.
   * @param atLeast the lowest number to give it
   * @throws {SystemError} EMFILE at the descriptor limit
   */
  duplicate(atLeast = 3): Fd {
    return new Fd(check("fcntl", () => libc().fcntl(this.number, F_DUPFD_CLOEXEC, atLeast)));
  }

  /** Puts the open file into the non-blocking mode, for all who share it. */
  setNonBlocking(): void {
    const flags = check("fcntl", () => libc().fcntl(this.number, F_GETFL, 0));
    check("fcntl", () => libc().fcntl(this.number, F_SETFL, flags | O_NONBLOCK));
  }

  /** Whether the descriptor is closed by execve. */
  set closeOnExec(value: boolean) {
    check("fcntl", () => libc().fcntl(this.number, F_SETFD, value ? FD_CLOEXEC : 0));
  }

  get closeOnExec(): boolean {
    return (check("fcntl", () => libc().fcntl(this.number, F_GETFD, 0)) & FD_CLOEXEC) !== 0;
  }
}
