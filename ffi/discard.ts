/**
 * Closing descriptors that came from a stranger, without being made to wait.
 *
 * The last close of an open file can wait: for the unsent data of a TCP socket with SO_LINGER, for a file
 * server, or for whatever lies in the queue of a UNIX socket and is closed with it. The kernel does that work
 * in the thread that closes last, whether it calls close(2) or receives a message without taking its
 * descriptors. Another thread of this process would not help: while the kernel holds it up, this process's
 * descriptors stay open, and its exit and its execve wait. So another process closes last: it is cloned with
 * our descriptors, outlives our own close, and is then killed. A process that ends does not linger
 * (inet_release of net/ipv4/af_inet.c). And it has let go of all its other descriptors before the first of
 * these is really closed, since the kernel puts that off (fput of fs/file_table.c): if it is held up then,
 * nobody waits for it.
 *
 * A file that is flushed at every close, as one on a file server is, must not get this far: see receiveBytes.
 * @module
 */

import { check, SystemError } from "./errno.ts";
import {
  __WALL,
  CLONE_VM,
  POLLIN,
  SIG_BLOCK,
  SIG_SETMASK,
  SIGNALS,
  SO_TYPE,
  SOL_SOCKET,
  WNOHANG,
} from "./constants.ts";
import { Fd } from "./fd.ts";
import { LAYOUT } from "./layout.ts";
import { addressOfFunction, libc } from "./libc.ts";
import { addressOf, Struct } from "./memory.ts";
import { openProcess } from "./pidfd.ts";

const EAGAIN = 11;

/** Milliseconds from one such process to the next in a flood of descriptors, so that they cost little. */
const PAUSE = 20;
/** How many of them may be started without a pause before it counts as a flood. */
const MAX_CREDIT = 50;
/** Milliseconds until the next attempt after one that failed, for lack of memory or of processes. */
const RETRY = 200;
/** How many descriptors may wait for the next process; with more, it is started at once. */
const MANY = 500;
/** Seconds after which the other process ends by itself, should this one be killed first. */
const LIFE = 2n;
/** Milliseconds to wait for the end of the other process. */
const PATIENCE = 50;
/** Milliseconds in which nobody waits for such an end again, after one that did not come in time. */
const IMPATIENCE = 10_000;

/** How many of these processes may be held up at a time by what they close. */
const MAX_HELD_UP = 32;

/** How many files other threads close at a time: the runtime has 32 threads, and poll(2) needs one of them. */
const MAX_CLOSING = 8;

/** Sockets to be closed by the next process. */
const waiting: Fd[] = [];
/** The pids of the processes that had not ended when they were last looked at. */
let heldUp: number[] = [];
/** How many processes could be started without a pause at the time `last`. */
let credit = 0;
let last = -Infinity;
/** Until when nobody waits for the end of a process. */
let impatientUntil = -Infinity;
let timer: ReturnType<typeof setTimeout> | undefined;

/** The stack of the other process, which only sleeps. One is enough: each is killed before the next starts. */
const stack = new Uint8Array(64 * 1024);

/** How many files other threads are closing. */
let closing = 0;
/** The numbers of files that wait for such a thread. */
const files: number[] = [];

/**
 * Closes a descriptor without waiting: a socket by another process, now or a little later, and a file that may
 * have a server by another thread. This process can end, or execute another program, only after that thread.
 */
export function discard(fd: Fd): void {
  if (fd.closed) return;
  if (!isSocket(fd)) return closeFile(fd);
  waiting.push(new Fd(fd.release()));
  const now = performance.now();
  credit = Math.min(MAX_CREDIT, credit + (now - last) / PAUSE);
  last = now;
  if (credit < 1 && waiting.length < MANY) {
    timer ??= setTimeout(discardNow, PAUSE);
    return;
  }
  credit = Math.max(0, credit - 1);
  discardNow();
}

function closeFile(fd: Fd): void {
  if (!isServed(fd)) return fd.close();
  files.push(fd.release());
  closeFiles();
}

/** Has other threads close the files that wait, as far as there are threads to spare. */
function closeFiles(): void {
  while (closing < MAX_CLOSING) {
    const number = files.shift();
    if (number === undefined) return;
    closing++;
    void libc().close_wait(number).then(() => {
      closing--;
      closeFiles();
    });
  }
}

/** Whether a file may be on a file server: what has no path, and a file in memory, is not. */
function isServed(fd: Fd): boolean {
  const link = Deno.readLinkSync(`/proc/self/fd/${fd.number}`);
  return link.startsWith("/") && !link.startsWith("/memfd:");
}

/** Closes now what {@link discard} has put off: call it before this process ends or executes another program. */
export function discardNow(): void {
  clearTimeout(timer);
  timer = undefined;
  const fds = waiting.splice(0);
  if (fds.length === 0) return;
  try {
    closeApart(fds);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    // They stay open until there is memory, or room for a process.
    waiting.push(...fds.filter((fd) => !fd.closed));
    timer = setTimeout(discardNow, RETRY);
  }
}

/**
 * Closes descriptors at once, without waiting for long.
 * @returns whether the process that was started for it has ended, so that its copies are closed too
 */
export function discardAll(fds: readonly Fd[]): boolean {
  if (fds.length === 0) return true;
  try {
    return closeApart(fds);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    fds.forEach(discard);
    return false;
  }
}

/**
 * Starts a process that has these descriptors too, closes our own, and kills that process.
 * @returns whether it has ended
 * @throws {SystemError} EAGAIN, ENOMEM: nothing is closed then
 */
function closeApart(fds: readonly Fd[]): boolean {
  heldUp = heldUp.filter((pid) => !isReaped(pid));
  if (heldUp.length >= MAX_HELD_UP) throw new SystemError("clone", EAGAIN);
  const pid = cloneSleeping();
  heldUp.push(pid);
  fds.forEach((fd) => fd.close());
  libc().kill(pid, SIGNALS.SIGKILL);
  // Until it has ended, which takes a millisecond, it has copies of all our descriptors, so that a port that we
  // give up is not free. A process that is held up by one of them has let go of all others.
  const now = performance.now();
  if (now >= impatientUntil && !waitForEnd(pid)) impatientUntil = now + IMPATIENCE;
  if (!isReaped(pid)) return false;
  heldUp = heldUp.filter((one) => one !== pid);
  return true;
}

/** Waits a little for the end of a process. @returns whether it has ended */
function waitForEnd(pid: number): boolean {
  using process = tryToOpen(pid);
  if (process === undefined) return false;
  const set = new Struct(LAYOUT.pollfd.size);
  set.setI32(LAYOUT.pollfd.fd, process.number).setI32(LAYOUT.pollfd.events, POLLIN);
  return libc().poll(set.bytes, 1n, PATIENCE) > 0;
}

function tryToOpen(pid: number): Fd | undefined {
  try {
    return openProcess(pid);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return undefined; // It ends all the same, and is reaped the next time.
  }
}

/** Whether such a process has ended. Its end sends no signal, and shows in a waitpid(2) with __WALL alone. */
function isReaped(pid: number): boolean {
  return libc().waitpid(pid, new Int32Array(1), WNOHANG | __WALL) !== 0;
}

/** Whether a descriptor is a socket; of a file on a file server, this does not ask the server. */
export function isSocket(fd: Fd): boolean {
  const length = new Uint32Array([4]);
  return libc().getsockopt(fd.number, SOL_SOCKET, SO_TYPE, new Uint32Array(1), length) === 0;
}

/** Starts a process that has our descriptors, and sleeps. @returns its pid */
function cloneSleeping(): number {
  const every = new Uint8Array(LAYOUT.sigset_t.size).fill(0xff);
  const before = new Uint8Array(LAYOUT.sigset_t.size);
  const sleep = addressOfFunction("sleep");
  // The stack grows down from its end, which must be a multiple of 16.
  const top = Deno.UnsafePointer.create((addressOf(stack) + BigInt(stack.length)) & ~15n);
  const life = Deno.UnsafePointer.create(LIFE);
  // A signal that reached the other process would run this one's handler a second time.
  libc().pthread_sigmask(SIG_BLOCK, every, before);
  try {
    // The memory is shared: to copy its map would take ten times as long. qemu refuses that, as every clone(2)
    // that does not look like fork(2); after one that does, whoever reaps children may see this process.
    const pid = libc().clone(sleep, top, CLONE_VM, life);
    if (pid > 0) return pid;
    return check("clone", () => libc().clone(sleep, top, SIGNALS.SIGCHLD, life));
  } finally {
    libc().pthread_sigmask(SIG_SETMASK, before, new Uint8Array(LAYOUT.sigset_t.size));
  }
}
