/** Waiting for descriptors: one poll(2) set for a whole program. */

import { check } from "./errno.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK, POLLIN } from "./constants.ts";
import { Fd } from "./fd.ts";
import { LAYOUT } from "./layout.ts";
import { libc } from "./libc.ts";
import { Struct } from "./memory.ts";

/**
 * Whether a descriptor is ready right now: of a pipe, POLLOUT means that it takes 4096 bytes at once
 * (PIPE_BUF, pipe(7)).
 */
export function isReady(fd: Pick<Fd, "number">, events: number): boolean {
  return readiness(fd, events) !== 0;
}

/** What a descriptor is ready for right now: poll's revents. */
export function readiness(fd: Pick<Fd, "number">, events: number): number {
  const set = new Struct(LAYOUT.pollfd.size);
  set.setI32(LAYOUT.pollfd.fd, fd.number).setI32(LAYOUT.pollfd.events, events);
  check("poll", () => libc().poll(set.bytes, 1n, 0));
  return set.i16(LAYOUT.pollfd.revents);
}

interface Waiter {
  fd: Fd;
  events: number;
  deadline: number;
  resolve: (revents: number) => void;
}

/** Rounds handled without a look at Deno's event loop, where signals and timers arrive. */
const ROUNDS_AT_ONCE = 16;
/** Milliseconds to wait after a poll(2) that failed. */
const PAUSE = 10;
/** Turns of the microtask queue in which the handlers of a round usually come back to wait. */
const TURNS_OF_A_ROUND = 8;

/**
 * Waits for many descriptors in one poll(2). The call runs on another thread while nothing is ready,
 * so that signals, timers and promises go on; what is ready already is found by a call on this thread,
 * which costs no thread switch.
 */
export class Poller {
  readonly #waiters = new Set<Waiter>();
  readonly #wake = new Fd(check("eventfd", () => libc().eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)));
  #set = new Struct(LAYOUT.pollfd.size * 16);
  #running = false;
  #sleeping = false;

  /**
   * Waits until `fd` is ready.
   * @param events POLLIN, POLLOUT or both
   * @param timeout milliseconds; without one it waits for ever
   * @returns poll's revents; 0 after the timeout, or when {@link cancel} was called
   */
  wait(fd: Fd, events: number, timeout = Infinity): Promise<number> {
    return new Promise((resolve) => {
      this.#waiters.add({ fd, events, deadline: performance.now() + timeout, resolve });
      if (!this.#running) void this.#run();
      else if (this.#sleeping) this.#interrupt();
    });
  }

  /** Ends all waits for `fd`, or every wait; they return 0. Call it before closing the descriptor. */
  cancel(fd?: Fd): void {
    for (const waiter of this.#waiters) {
      if (fd === undefined || waiter.fd === fd) this.#settle(waiter, 0);
    }
    if (this.#sleeping) this.#interrupt();
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (let round = 1; this.#waiters.size > 0; round++) {
      const waiters = [...this.#waiters];
      const set = this.#fill(waiters);
      let ready = 0;
      if (round % ROUNDS_AT_ONCE !== 0) {
        ready = libc().poll(set.bytes, BigInt(waiters.length + 1), 0);
      }
      if (ready <= 0) {
        this.#sleeping = true;
        const timeout = untilFirstDeadline(waiters);
        const woken = await libc().poll_wait(set.bytes, BigInt(waiters.length + 1), timeout);
        this.#sleeping = false;
        // A failure (EINTR, ENOMEM) looks as if nothing were ready, and the next round asks again: after a
        // pause, since the kernel may need a while for its memory, and other work here a turn.
        if (woken < 0) await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
      this.#dispatch(waiters, set);
      for (let turn = 0; turn < TURNS_OF_A_ROUND; turn++) await null;
    }
    this.#running = false;
  }

  /** Lays out one pollfd a waiter, and the wake-up descriptor after them. */
  #fill(waiters: readonly Waiter[]): Struct {
    const { size, fd, events } = LAYOUT.pollfd;
    const needed = size * (waiters.length + 1);
    if (this.#set.bytes.length < needed) this.#set = new Struct(2 * needed);
    const set = this.#set;
    const put = (index: number, number: number, wanted: number) => {
      // setI32 on `events` clears `revents` with it.
      set.setI32(index * size + fd, number).setI32(index * size + events, wanted);
    };
    waiters.forEach((waiter, index) => put(index, waiter.fd.number, waiter.events));
    put(waiters.length, this.#wake.number, POLLIN);
    return set;
  }

  #dispatch(waiters: readonly Waiter[], set: Struct): void {
    const { size, revents } = LAYOUT.pollfd;
    const now = performance.now();
    waiters.forEach((waiter, index) => {
      const got = set.i16(index * size + revents);
      if (got !== 0) this.#settle(waiter, got);
      else if (waiter.deadline <= now) this.#settle(waiter, 0);
    });
    if (set.i16(waiters.length * size + revents) !== 0) {
      libc().read(this.#wake.number, new Uint8Array(8), 8n);
    }
  }

  #settle(waiter: Waiter, revents: number): void {
    if (this.#waiters.delete(waiter)) waiter.resolve(revents);
  }

  #interrupt(): void {
    this.#sleeping = false;
    libc().write(this.#wake.number, new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]), 8n);
  }
}

/** Milliseconds for poll(2), rounded up so that a deadline has passed on return; -1 for ever. */
function untilFirstDeadline(waiters: readonly Waiter[]): number {
  const first = waiters.reduce((least, waiter) => Math.min(least, waiter.deadline), Infinity);
  if (first === Infinity) return -1;
  return Math.min(Math.max(0, Math.ceil(first - performance.now())), 2 ** 31 - 1);
}
