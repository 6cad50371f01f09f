/**
 * Telling systemd how this process does (sd_notify(3)): datagrams of `KEY=value` lines to the socket that
 * `NOTIFY_SOCKET` names, by its path or as `@` and a name in the abstract namespace.
 * @module
 */

import { POLLOUT, SOCK_DGRAM } from "../../ffi/constants.ts";
import { monotonicMicroseconds } from "../../ffi/clock.ts";
import type { Fd } from "../../ffi/fd.ts";
import { sendMessage } from "../../ffi/fd_passing.ts";
import type { Poller } from "../../ffi/poll.ts";
import { connectUnix } from "../../ffi/socket.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";

/** The variables that it reads. */
export interface NotifyEnvironment {
  NOTIFY_SOCKET?: string;
  WATCHDOG_USEC?: string;
  WATCHDOG_PID?: string;
}

interface Message {
  bytes: Uint8Array<ArrayBuffer>;
  fds: readonly Fd[];
}

/** See the module's description. Without the variable nothing is sent; a failure is logged, and harms nothing. */
export class Notifier implements Disposable {
  readonly #path: string | undefined;
  readonly #queue: Message[] = [];
  #sending = false;
  /** Settled once the queue is empty. */
  #sent: Promise<void> | undefined;
  #failed = false;
  #status = "";
  readonly #watchdog: number | undefined;

  constructor(
    readonly poller: Poller,
    readonly log: Log,
    environment: NotifyEnvironment = Deno.env.toObject(),
  ) {
    // An empty variable counts as none.
    this.#path = environment.NOTIFY_SOCKET?.replace(/^@/, "\0") || undefined;
    const interval = watchdogInterval(environment);
    if (interval === undefined || !this.enabled) return;
    this.#watchdog = setInterval(() => this.#send({ WATCHDOG: 1 }), interval);
  }

  /** Whether there is a socket to send to. */
  get enabled(): boolean {
    return this.#path !== undefined;
  }

  /** Whether signs of life are sent, for the watchdog. */
  get watched(): boolean {
    return this.#watchdog !== undefined;
  }

  /** Settles when all that waits was sent; undefined when nothing waits. */
  get underWay(): Promise<void> | undefined {
    return this.#queue.length > 0 ? this.#sent : undefined;
  }

  /** The start, or what {@link reloading} began, is done. */
  ready(): void {
    this.#send({ READY: 1 });
  }

  /** A reload begins. */
  reloading(): void {
    this.#send({ RELOADING: 1, MONOTONIC_USEC: monotonicMicroseconds() });
  }

  /** The stop begins. */
  stopping(): void {
    this.#send({ STOPPING: 1 });
  }

  /** Asks for more time for the start, reload or stop under way. @param ms milliseconds from now on */
  extendTimeout(ms: number): void {
    this.#send({ EXTEND_TIMEOUT_USEC: BigInt(Math.ceil(ms)) * 1000n });
  }

  /** A sentence for `systemctl status`; the same one again is not sent. */
  status(text: string): void {
    const line = text.replace(/[\n\r\0]+/g, " ");
    if (line !== this.#status) this.#send({ STATUS: line });
    this.#status = line;
  }

  /**
   * Puts copies of descriptors into the service's store: they come back as LISTEN_FDS.
   * @param name printable ASCII without a colon, at most 255 characters
   * @param fds at most 253; one that is closed before it could be sent is left out
   */
  storeFds(name: string, fds: readonly Fd[]): void {
    // FDPOLL=0: a socket in an error state is still ours to keep.
    this.#send({ FDSTORE: 1, FDNAME: name, FDPOLL: 0 }, fds);
  }

  /** Takes all descriptors of a name out of the store. */
  removeFds(name: string): void {
    this.#send({ FDSTOREREMOVE: 1, FDNAME: name });
  }

  /** Ends the signs of life. */
  [Symbol.dispose](): void {
    clearInterval(this.#watchdog);
  }

  #send(fields: Record<string, string | number | bigint>, fds: readonly Fd[] = []): void {
    if (!this.enabled) return;
    const lines = Object.entries(fields).map(([key, value]) => `${key}=${value}`);
    const bytes = new Uint8Array(new TextEncoder().encode(lines.join("\n")));
    this.#queue.push({ bytes, fds });
    if (!this.#sending) this.#sent = this.#sendQueue();
  }

  /** Sends at once what the receiver's queue has room for: what precedes an exec or exit must be out. */
  async #sendQueue(): Promise<void> {
    this.#sending = true;
    try {
      using socket = connectUnix(this.#path ?? "", SOCK_DGRAM);
      for (let message = this.#queue[0]; message; message = this.#queue[0]) {
        const fds = message.fds.filter((fd) => !fd.closed);
        const isObsolete = fds.length === 0 && message.fds.length > 0;
        if (!isObsolete && sendMessage(socket, message.bytes, fds) === undefined) {
          await this.poller.wait(socket, POLLOUT);
        } else {
          this.#queue.shift();
        }
      }
    } catch (error) {
      this.#queue.length = 0;
      if (!this.#failed) this.log.warn("cannot notify systemd", { error: messageOf(error) });
      this.#failed = true;
    } finally {
      this.#sending = false;
    }
  }
}

/** Milliseconds between signs of life: half of what is allowed (sd_watchdog_enabled(3)). */
function watchdogInterval({ WATCHDOG_USEC, WATCHDOG_PID }: NotifyEnvironment): number | undefined {
  if (WATCHDOG_PID && Number(WATCHDOG_PID) !== Deno.pid) return undefined;
  const allowed = Number(WATCHDOG_USEC);
  return allowed > 0 ? Math.min(allowed / 2000, 2 ** 31 - 1) : undefined;
}
