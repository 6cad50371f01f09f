/**
 * Closing descriptors that a stranger may have had a hand in, without waiting for it.
 *
 * The last close of a file can wait: for the unsent data of a TCP socket with SO_LINGER, for a file server,
 * for whatever lies in the queue of a UNIX socket, which is closed with it. The kernel does that work in the
 * thread that closes last, be it by close(2) or by receiving a message and leaving its descriptors. A thread
 * of its own would not help: one that the kernel does not let go keeps this process's descriptors open, and
 * its exit and execve waiting. So the last to close is another process: it is cloned with our descriptors,
 * outlives our own close, and is then killed. A process that ends does not linger (inet_release of
 * net/ipv4/af_inet.c), and has let go of every other descriptor before the first of these closes (they are
 * put off, fput of fs/file_table.c); if that makes it wait, then nobody waits for it.
 *
 * What is flushed at each close, such as a file of a file server, must not get this far: see receiveBytes.
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

/** Milliseconds from one such process to the next in a flood of descriptors, so that it costs little. */
const PAUSE = 20;
/** How many are started without a pause before that is taken for a flood. */
const MAX_CREDIT = 50;
/** Milliseconds until the next attempt after one that failed: of no memory, at the limit of processes. */
const RETRY = 200;
/** Descriptors that do not wait for the next one. */
const MANY = 500;
/** Seconds after which the other process ends by itself, should this one be killed first. */
const LIFE = 2n;
/** Milliseconds in which the end of the other process is waited for; and for how long not, if that was vain. */
const PATIENCE = 50;
const IMPATIENCE = 10_000;

/** Processes at a time that are made to wait by what they close. */
const MAX_HELD_UP = 32;

/** Files at a time that other threads close: the runtime has 32, and some must be left for poll(2). */
const MAX_CLOSING = 8;

const waiting: Fd[] = [];
/** Those that had not ended when they were last looked at. */
let heldUp: number[] = [];
/** How many such processes may be started at once, as of when. */
let credit = 0;
let last = -Infinity;
let impatient = -Infinity;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Stack of the other process, which does next to nothing. There is one at a time that is not being killed. */
const stack = new Uint8Array(64 * 1024);

/** Files that other threads are closing, and those that wait for a thread. */
let closing = 0;
const files: number[] = [];

/**
 * Closes a descriptor; a socket now or a little later, in a way that never waits. A file is closed by another
 * thread, as far as there are some to spare: this process can end or execute another one only after that.
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

/** Those beyond what threads there are to spare stay open until one has its answer. */
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

/** Whether a file may have a server: it has a path, and its memory is not ours alone. */
function isServed(fd: Fd): boolean {
  const link = Deno.readLinkSync(`/proc/self/fd/${fd.number}`);
  return link.startsWith("/") && !link.startsWith("/memfd:");
}

/** Closes now what {@link discard} has put off: before execve, which would do it and wait; and at an end. */
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
 * Closes descriptors at once, in a way that never waits for long.
 * @returns whether nobody who was started for it has them any more
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
 * Closes descriptors when another process has them too, and then ends that.
 * @returns whether that has ended
 * @throws {SystemError} EAGAIN, ENOMEM: nothing is closed then
 */
function closeApart(fds: readonly Fd[]): boolean {
  heldUp = heldUp.filter((pid) => !isReaped(pid));
  if (heldUp.length >= MAX_HELD_UP) throw new SystemError("clone", EAGAIN);
  const pid = cloneSleeping();
  heldUp.push(pid);
  fds.forEach((fd) => fd.close());
  libc().kill(pid, SIGNALS.SIGKILL);
  // Until its end, which takes a millisecond, it has copies of all our descriptors: a port that we give up is
  // not free. One that is made to wait has let go of those.
  const now = performance.now();
  if (now >= impatient && !waitForEnd(pid)) impatient = now + IMPATIENCE;
  if (!isReaped(pid)) return false;
  heldUp = heldUp.filter((one) => one !== pid);
  return true;
}

/** Waits a little for the end of a process. @returns whether it has come */
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

/** Whether such a process has ended. It tells nobody, so that whoever waits for children does not meet it. */
function isReaped(pid: number): boolean {
  return libc().waitpid(pid, new Int32Array(1), WNOHANG | __WALL) !== 0;
}

/** Whether a descriptor is a socket; nobody is asked who might not answer. */
export function isSocket(fd: Fd): boolean {
  const length = new Uint32Array([4]);
  return libc().getsockopt(fd.number, SOL_SOCKET, SO_TYPE, new Uint32Array(1), length) === 0;
}

/** Starts a process that has our descriptors, and does nothing. @returns its pid */
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
    // Memory is shared, or a copy of its map would take ten times as long. qemu refuses that, and anything
    // that does not look like fork(2); then whoever waits for children may meet it.
    const pid = libc().clone(sleep, top, CLONE_VM, life);
    if (pid > 0) return pid;
    return check("clone", () => libc().clone(sleep, top, SIGNALS.SIGCHLD, life));
  } finally {
    libc().pthread_sigmask(SIG_SETMASK, before, new Uint8Array(LAYOUT.sigset_t.size));
  }
}
