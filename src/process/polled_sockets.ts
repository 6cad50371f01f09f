/**
 * The sockets that a process was lent and polls by epoll, to be taken out of its epoll sets once it has
 * closed them.
 *
 * A set keeps a socket for as long as anybody has it open, not only until the process closes its own
 * descriptor (epoll(7), "Will closing a file descriptor cause it to be removed"). By then the process
 * cannot take it out any more: it has no descriptor to name. A server that closes a shared listening
 * socket without taking it out first is woken for every connection that the others accept, as long as it
 * lives. We can take it out: with a copy of the set and one of the socket (pidfd_getfd(2)), the latter
 * under the number that it had over there.
 * @module
 */

import { POLLIN } from "../../ffi/constants.ts";
import { discard } from "../../ffi/discard.ts";
import type { Fd } from "../../ffi/fd.ts";
import { copyDescriptor, openProcess } from "../../ffi/pidfd.ts";
import type { Poller } from "../../ffi/poll.ts";
import { FIRST_FD, type SpawnOptions } from "../../ffi/spawn.ts";
import { messageOf } from "../errors.ts";
import type { Fields, Log } from "../log.ts";
import { descriptorsOf, linkAt } from "../proc.ts";
import type { Children } from "./children.ts";
import { copySocket } from "./copied_socket.ts";
import { ownCommand } from "./successor.ts";

/** Milliseconds from one look at what the process has closed to the next, at first and at most. */
const FIRST_PAUSE = 1;
const MAX_PAUSE = 1000;
/** Milliseconds that the process has to close the rest, and to end if it has nothing else to do. */
const CLOSING_TIME = 20;

/** See the module's description. */
export class PolledSockets implements Disposable {
  private constructor(
    readonly pid: number,
    readonly process: Fd,
    /** Copies of its sockets, by their numbers over there, and what /proc shows of them. */
    readonly sockets: ReadonlyMap<number, { fd: Fd; link: string }>,
    readonly sets: readonly Fd[],
  ) {}

  /**
   * Looks at what a process polls, while it still has the sockets.
   * @param lent how many sockets it was lent, its descriptors from 3 on; undefined when that cannot be read
   * @param isProven whether this program itself has lent them; otherwise only those are copied that root or this
   *   program's user has made
   * @returns undefined when there is nothing to take out, or no right to (ptrace(2))
   */
  static of(
    pid: number,
    lent: number | undefined,
    isProven: boolean,
    log: Log,
  ): PolledSockets | undefined {
    if (lent === undefined) warnOfMissingRight(log, { pid });
    if (!lent) return undefined;
    using copies = new DisposableStack();
    try {
      const process = openProcess(pid);
      if (process === undefined) return undefined;
      copies.use(process);
      const copy = (number: number) => copyDescriptor(process, number);
      const sockets = new Map<number, { fd: Fd; link: string }>();
      const sets: Fd[] = [];
      const descriptors = [...descriptorsOf(pid)];
      const isLent = (number: number) => number >= FIRST_FD && number < FIRST_FD + lent;
      const links = descriptors.filter(([number]) => isLent(number)).map(([, link]) => link);
      const lentLinks = new Set(links.filter((link) => link.startsWith("socket:")));
      for (const [number, link] of descriptors) {
        // Whatever its number is: some servers duplicate a socket for each group of their threads.
        if (lentLinks.has(link)) {
          const fd = isProven ? copy(number) : copySocket(pid, process, number);
          if (fd) sockets.set(number, { fd: copies.adopt(fd, discard), link });
        }
        if (link === "anon_inode:[eventpoll]") sets.push(copies.use(copy(number)));
      }
      if (sockets.size === 0 || sets.length === 0) return undefined;
      copies.move();
      return new PolledSockets(pid, process, sockets, sets);
    } catch (error) {
      warnOfMissingRight(log, { pid, error: messageOf(error) });
      return undefined;
    }
  }

  /**
   * Waits until the process has closed its sockets, as it was told to, and takes them out of its epoll sets: all at
   * once, or some first and the others later. Returns at the end of the process at the latest.
   */
  async forget(poller: Poller, children: Pick<Children, "start">, log: Log): Promise<void> {
    using _ = this;
    const ends = async (ms: number) => await poller.wait(this.process, POLLIN, ms) !== 0;
    const left = new Set(this.sockets.keys());
    for (let pause = FIRST_PAUSE; left.size > 0;) {
      if (await ends(pause)) return;
      pause = Math.min(2 * pause, MAX_PAUSE);
      if (this.#closed(left).length === 0) continue;
      // Most servers end now, since they have nothing else to do.
      if (await ends(CLOSING_TIME)) return;
      const closed = this.#closed(left);
      closed.forEach((number) => left.delete(number));
      await this.#takeOut(closed, children, log);
    }
  }

  async #takeOut(
    closed: readonly number[],
    children: Pick<Children, "start">,
    log: Log,
  ): Promise<void> {
    const { pid } = this;
    try {
      const status = await children.start(this.#command(closed)).exited;
      if (!("code" in status && status.code === 0)) {
        throw new Error(`the helper ended with ${JSON.stringify(status)}`);
      }
      log.debug("removed the sockets that the old server closed from its epoll sets", { pid });
    } catch (error) {
      log.warn("cannot remove the sockets that the old server closed from its epoll sets", {
        pid,
        error: messageOf(error),
      });
    }
  }

  [Symbol.dispose](): void {
    this.process.close();
    this.sockets.forEach(({ fd }) => discard(fd));
    this.sets.forEach((fd) => fd.close());
  }

  /** Which of these numbers are no longer those of the sockets; something else may have them by now. */
  #closed(numbers: ReadonlySet<number>): number[] {
    return [...numbers].filter((number) =>
      linkAt(`/proc/${this.pid}/fd/${number}`) !== this.sockets.get(number)?.link
    );
  }

  /** How to start this program as a helper, in which the sockets have the numbers that they had in the server. */
  #command(numbers: readonly number[]): SpawnOptions {
    const end = Math.max(...numbers) + 1;
    const fds: Fd[] = [];
    for (let number = FIRST_FD; number < end; number++) {
      fds.push(this.sockets.get(number)?.fd ?? this.process);
    }
    const sets = this.sets.map((_, index) => end + index);
    const [own, ...words] = ownCommand();
    const argv: SpawnOptions["argv"] = [own, ...words, "unpoll", numbers.join(), sets.join()];
    return { argv, env: Deno.env.toObject(), fds: [...fds, ...this.sets] };
  }
}

let hasWarned = false;

/** Warns of it once: it will be the same for each generation. */
function warnOfMissingRight(log: Log, about: Fields): void {
  if (hasWarned) return;
  hasWarned = true;
  const what =
    "an old server may use up to a core while it drains: this process has no right to trace it";
  log.warn(`${what} (CAP_SYS_PTRACE in a container; see docs/draining.md)`, about);
}
