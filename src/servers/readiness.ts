/**
 * Starting a server and finding out when it is up, for servers without a way of their own to say so.
 *
 * Signs are its word to NOTIFY_SOCKET (sd_notify(3)), that it polls every socket that it was given, and that
 * it has stayed up for the settle time: the first of them counts. Where one sign was asked for, only that one.
 * @module
 */

import { POLLIN } from "../../ffi/constants.ts";
import type { Fd } from "../../ffi/fd.ts";
import type { Sender } from "../../ffi/fd_passing.ts";
import { createSealedMemfd } from "../../ffi/memfd.ts";
import { createPipe, readPipe } from "../../ffi/pipe.ts";
import type { Poller } from "../../ffi/poll.ts";
import { FIRST_FD } from "../../ffi/spawn.ts";
import type { Child } from "../process/children.ts";
import { descendsFrom } from "../process/origin.ts";
import { MARKS_FILE } from "../process/own_variables.ts";
import { socketUse } from "../process/socket_use.ts";
import { socketInode } from "../sockets/listener_state.ts";
import { type Notification, NotifyListener } from "../systemd/notify_listener.ts";
import type { Launch, Words } from "./launch.ts";
import type { Sign, Started } from "./service.ts";

/** How to start a server, and when it is up. */
export interface Start {
  argv: Words;
  /** Variables besides the launch's. */
  env?: Readonly<Record<string, string>>;
  /** Whether it looks for its own pid in LISTEN_PID. */
  wantsOwnPid: boolean;
  /** The only sign that counts. */
  sign?: Sign | undefined;
  /** Milliseconds after which a server that gives no sign counts as up. */
  settle: number;
}

/** The variable with the number of the descriptor to write a line to. */
export const READY_VARIABLE = "FD_READY";

/** Milliseconds between two looks at what it polls: the first, and at most. */
const FIRST_PAUSE = 5;
const MAX_PAUSE = 100;

/**
 * Starts a server.
 * @throws {UserError} when the program cannot be run
 */
export function startWithReadiness(launch: Launch, start: Start): Started {
  const follower = new Follower(launch, start);
  return follower.started;
}

/** Follows a server from its start to its end. */
class Follower {
  readonly #up = Promise.withResolvers<undefined>();
  readonly #resources = new DisposableStack();
  readonly started: Started;
  /** Those of its sockets, whose descriptors in the wrapper may be closed later. */
  readonly #inodes: readonly number[];
  #isOver = false;
  #isUp = false;
  #mainPid: number | undefined;

  constructor(readonly launch: Launch, readonly start: Start) {
    this.#inodes = launch.sockets.map(socketInode);
    try {
      const child = this.#start();
      this.started = { ...child, ready: this.#up.promise, mainPid: () => this.#mainPid };
    } catch (error) {
      this.#resources.dispose();
      throw error;
    }
    void this.started.exited.then(() => {
      this.#isOver = true;
      this.#resources.dispose();
    });
    const { sign } = start;
    if (sign === undefined || sign === "poll") void this.#awaitPolling();
    if (sign === undefined) this.#awaitSettling("it has stayed up");
  }

  #start(): Child {
    const { launch, start: { argv, env, wantsOwnPid, sign } } = this;
    const listener = this.#resources.use(
      new NotifyListener(
        launch.poller,
        (pid) => this.#isOurs(pid),
        (one) => this.#heed(one),
        (sender) => this.#goOnDeaf(sender),
      ),
    );
    using marks = fileOf(launch.marks);
    const pipe = sign === "fd" ? createPipe() : undefined;
    if (pipe) this.#resources.defer(() => closeReader(pipe.reader, launch.poller));
    using writer = pipe?.writer;
    const options = {
      env: {
        ...launch.env,
        ...env,
        NOTIFY_SOCKET: listener.name,
        ...(pipe && { [READY_VARIABLE]: String(FIRST_FD + launch.sockets.length) }),
      },
      fds: [...launch.sockets, ...(writer ? [writer] : []), marks],
    };
    if (pipe) void this.#awaitLine(pipe.reader);
    return wantsOwnPid ? launch.startWithOwnPid(argv, options) : launch.start(argv, options);
  }

  #isOurs(pid: number): boolean {
    return pid > 0 && (pid === this.started.pid || descendsFrom(pid, this.started.pid));
  }

  #tellUp(sign: string): void {
    if (this.#isUp || this.#isOver) return;
    this.#isUp = true;
    const { log, named } = this.launch;
    const { pid } = this.started;
    log.info("the server is up", { pid, sign });
    const open = socketUse(pid)?.open;
    named.forEach(({ name, address }, index) => {
      if (open === undefined || open.has(this.#inodes[index] ?? -1)) return;
      log.warn("the server has closed a socket: connections to it wait in vain", {
        name,
        address,
      });
    });
    this.#up.resolve(undefined);
  }

  #heed(notification: Notification): void {
    const { log } = this.launch;
    const { pid } = this.started;
    const status = notification.get("STATUS");
    if (status) log.info("the server says", { pid, status });
    if (notification.get("RELOADING") === "1") log.info("the server reloads by itself", { pid });
    const main = Number(notification.get("MAINPID") ?? pid);
    if (main !== pid && this.#isOurs(main)) {
      this.#mainPid = main;
      log.info("the server's signals go to another of its processes", { pid, main });
    } else if (main !== pid) {
      log.warn("the server names a main process that is not its own", { pid, main });
    }
    const isSign = this.start.sign === undefined || this.start.sign === "notify";
    if (isSign && notification.get("READY") === "1") this.#tellUp("READY=1");
  }

  #goOnDeaf(sender: Sender | undefined): void {
    const { log } = this.launch;
    const what =
      "another process has sent descriptors to the server's NOTIFY_SOCKET: it is not heard any more";
    log.warn(what, { pid: this.started.pid, sender: sender?.pid, uid: sender?.uid });
    if (this.start.sign === "notify") this.#awaitSettling("it has stayed up, and cannot be heard");
  }

  /** As s6 has it: a newline says that it is up; the end without one says nothing. */
  async #awaitLine(reader: Fd): Promise<void> {
    const buffer = new Uint8Array(64);
    while (await this.launch.poller.wait(reader, POLLIN) !== 0 && !reader.closed) {
      const length = readPipe(reader, buffer);
      if (buffer.subarray(0, length).includes(0x0a)) this.#tellUp("a line on its descriptor");
      if (length === 0 || this.#isUp) return;
    }
  }

  #awaitSettling(sign: string): void {
    const timer = setTimeout(() => this.#tellUp(sign), this.start.settle);
    this.#resources.defer(() => clearTimeout(timer));
  }

  async #awaitPolling(): Promise<void> {
    if (this.#inodes.length === 0) return;
    for (let pause = FIRST_PAUSE; !this.#isUp; pause = Math.min(2 * pause, MAX_PAUSE)) {
      await new Promise((resolve) => setTimeout(resolve, pause));
      if (this.#isOver) return;
      const polled = socketUse(this.started.pid)?.polled;
      if (polled === undefined) {
        // In a container without CAP_SYS_PTRACE those of another user are hidden.
        return this.#awaitSettling("it has stayed up, and may not be looked at");
      }
      if (this.#inodes.every((inode) => polled.has(inode))) this.#tellUp("it polls its sockets");
    }
  }
}

function fileOf(marks: Readonly<Record<string, string>>): Fd {
  const lines = Object.entries(marks).map(([name, value]) => `${name}=${value}\0`);
  return createSealedMemfd(MARKS_FILE, lines.join(""));
}

function closeReader(reader: Fd, poller: Poller): void {
  poller.cancel(reader);
  reader.close();
}
