/** What was sent to clients and they have not read: the kernel keeps it, and counts its descriptors. */

import { SCM_MAX_FD } from "../../ffi/constants.ts";
import { discard } from "../../ffi/discard.ts";
import type { Fd } from "../../ffi/fd.ts";
import { fdLimit } from "../../ffi/rlimit.ts";
import { isAllRead } from "../../ffi/socket.ts";
import { type Bounds, Budget, type User } from "./budget.ts";

/**
 * Bytes of a connection's send buffer, of which the kernel makes twice as many (socket(7)): an answer of 4 KiB
 * goes out in one message, and of the trusted a long one in few.
 */
export function sendBuffer({ trusted }: User): number {
  return trusted ? 16_384 : 8192;
}

/** Bytes that the kernel counts for the smallest message with descriptors and for a full one, its own included. */
const [SMALL_MESSAGE, FULL_MESSAGE] = [768, 2304];

/** How many such messages a connection of a user who is not trusted has under way at most. */
const [SMALL_MESSAGES, FULL_MESSAGES] = [SMALL_MESSAGE, FULL_MESSAGE]
  .map((size) => Math.ceil(2 * sendBuffer({ uid: 0, trusted: false }) / size)) as [number, number];

/** Milliseconds from one look at the connections that are over to the next. */
const PAUSE = 1000;

/** The largest share of one user: more than the addresses of one request. */
const MAX_SHARE = 8192;

interface Connection extends User {
  fd: Fd;
  /** Descriptors that were sent since it had been read to the end. */
  fds: number;
  /** Whether it is over, but for what the other end has not read. */
  ended?: boolean;
}

/**
 * The kernel lets a user have as many descriptors under way, to all processes together, as one process may
 * have open (RLIMIT_NOFILE, unix(7): ETOOMANYREFS), unless it is root. Beyond that nobody is served who asks
 * for a socket, so that no user's clients may come near.
 */
function boundsOfDescriptors(): Bounds {
  const limit = Math.min(Number(fdLimit().soft), 16 * MAX_SHARE);
  return {
    user: Math.floor(limit / 16),
    others: Math.floor(limit / 8),
    all: Math.floor(limit / 2),
  };
}

/** Counts descriptors under way, by connection. */
export class Unread {
  readonly #budget: Budget;
  /** By the number of the descriptor. */
  readonly #connections = new Map<number, Connection>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param pause milliseconds until it is seen that a connection which is over was read to its end */
  constructor(readonly bounds: Bounds = boundsOfDescriptors(), readonly pause: number = PAUSE) {
    this.#budget = new Budget(bounds);
  }

  /** How many descriptors to send in one message, so that a connection has its user's share at most. */
  atOnce({ trusted }: User): number {
    const { all, user } = this.bounds;
    if (trusted) return Math.min(SCM_MAX_FD, Math.ceil(all / 8));
    if (user >= FULL_MESSAGES * SCM_MAX_FD) return SCM_MAX_FD;
    return Math.max(1, Math.floor(user / SMALL_MESSAGES));
  }

  /** How many can be under way on one connection of a user: its send buffer takes no more messages. */
  #most(user: User): number {
    if (user.trusted) return Math.floor(this.bounds.all / 4);
    const atOnce = this.atOnce(user);
    return atOnce * (atOnce === SCM_MAX_FD ? FULL_MESSAGES : SMALL_MESSAGES);
  }

  /** Counts descriptors that are going to be sent, up to what can be under way at once. @returns whether they may be */
  take(fd: Fd, user: User, fds: number): boolean {
    this.#look(fd.number);
    const connection = this.#connections.get(fd.number) ?? { ...user, fd, fds: 0 };
    const amount = Math.min(fds, this.#most(user) - connection.fds);
    if (!this.#budget.take(user, amount)) {
      // Who has read since is known by looking.
      for (const number of this.#connections.keys()) this.#look(number);
      if (!this.#budget.take(user, amount)) return false;
    }
    connection.fds += amount;
    this.#connections.set(fd.number, connection);
    return true;
  }

  /** Takes descriptors out of the count that have not been sent after all. */
  giveBack(fd: Fd, fds: number): void {
    const connection = this.#connections.get(fd.number);
    if (connection === undefined) return;
    const amount = Math.min(fds, connection.fds);
    connection.fds -= amount;
    this.#budget.give(connection, amount);
    if (connection.fds === 0) this.#connections.delete(fd.number);
  }

  /**
   * Closes a connection when the other end has read it, or is gone.
   * @param clean whether nothing is left in its own queue
   */
  close(fd: Fd, clean: boolean): void {
    const connection = this.#connections.get(fd.number);
    // The channel has released its own Fd: this one owns the descriptor from here on.
    if (connection) connection.fd = fd;
    this.#look(fd.number);
    if (connection && this.#connections.has(fd.number)) {
      connection.ended = true;
      this.#timer ??= setTimeout(() => this.#lookAtEnded(), this.pause);
    } else if (clean) fd.close();
    else discard(fd);
  }

  /** The kernel tells nobody that the other end has read. */
  #lookAtEnded(): void {
    const ended = () => [...this.#connections].filter(([, connection]) => connection.ended);
    for (const [number] of ended()) this.#look(number);
    const isOver = ended().length === 0;
    this.#timer = isOver ? undefined : setTimeout(() => this.#lookAtEnded(), this.pause);
  }

  /** Closes the connections that are over, read or not. */
  closeEnded(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const [number, { ended, fd }] of this.#connections) {
      if (!ended) continue;
      this.#connections.delete(number);
      discard(fd);
    }
  }

  #look(number: number): void {
    const connection = this.#connections.get(number);
    if (connection === undefined) return;
    const { ended, fd, fds } = connection;
    if (!isAllRead(fd)) return;
    this.#budget.give(connection, fds);
    this.#connections.delete(number);
    if (ended) discard(fd);
  }
}
