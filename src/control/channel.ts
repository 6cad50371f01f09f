/** One connection of the control socket, as a stream of messages with their descriptors. */

import { POLLIN, POLLOUT, SHUT_RDWR, SO_OOBINLINE, SOL_SOCKET } from "../../ffi/constants.ts";
import { SystemError } from "../../ffi/errno.ts";
import { Fd } from "../../ffi/fd.ts";
import { discard, discardNow } from "../../ffi/discard.ts";
import { receiveBytes, receiveMessage, sendMessage } from "../../ffi/fd_passing.ts";
import type { Poller } from "../../ffi/poll.ts";
import { setOption, shutDown } from "../../ffi/socket.ts";
import { MessageSplitter } from "./framing.ts";
import { encodeMessage } from "./messages.ts";
import { sendWhole } from "./sending.ts";

/** The connection was closed, or a time limit passed. */
export class ChannelClosed extends Error {
  override readonly name = "ChannelClosed";
}

/** The peer, who may send no descriptors, has sent some. */
export class UninvitedFds extends Error {
  override readonly name = "UninvitedFds";

  /**
   * A refusal of them.
   * @param text what came before and with them
   * @param what the peer may not send
   */
  constructor(readonly text: string, readonly what: string) {
    super("descriptors came that nobody had asked for");
  }
}

/** Calls of recvmsg, of 64 KiB each, that empty a connection which is being closed: its queue holds less. */
const MAX_DRAIN = 64;

/** Bytes of one receive. */
export const RECEIVED_AT_ONCE = 64 * 1024;

const buffer = new Uint8Array(RECEIVED_AT_ONCE);

/** Finds out whether all descriptors of the message that waits at a connection are sockets. */
type Look = (connection: Fd) => Promise<boolean>;

/** Sends and receives messages over a non-blocking UNIX stream socket, which it owns. */
export class Channel {
  readonly #splitter: MessageSplitter;
  readonly #received: Fd[] = [];
  /** Undefined when all descriptors are received as they are. */
  #guard: { look: Look | undefined } | undefined;
  /** Whether everything that will ever come has been received. */
  #ended = false;
  /** How many descriptors to keep until {@link takeFds}; any more are closed as they arrive. */
  maxFds = 0;
  /** Called with how much of an incomplete message is going to be kept; what it throws ends the receive. */
  keep: ((bytes: number, fds: number) => void) | undefined;
  /** Descriptors were lost on the way in, at this process's own limit. */
  truncated = false;

  /**
   * @param pending bytes of a half-received message, from an earlier program
   * @param maxBytes of a message that is received
   */
  constructor(
    readonly fd: Fd,
    readonly poller: Poller,
    pending?: Uint8Array<ArrayBuffer>,
    maxBytes?: number,
  ) {
    this.#splitter = new MessageSplitter(maxBytes, pending);
  }

  /**
   * Receives descriptors from here on only if they are sockets, or none at all: others are left where they are,
   * and end the receiving.
   * @param look finds out whether those that wait are sockets, and receives nothing; without it none is received
   */
  guardFds(look?: Look): void {
    this.#guard = { look };
    // Otherwise an urgent byte is dropped by the next receive, and its descriptors are closed by it.
    setOption(this.fd, SOL_SOCKET, SO_OOBINLINE, 1);
  }

  /** Bytes of a message that has not arrived whole. */
  get pending(): Uint8Array<ArrayBuffer> {
    return this.#splitter.pending;
  }

  /**
   * Receives the next message. Each waits for its turn in the poller, so that a peer that never pauses
   * delays nobody; and for room for an answer, so that one that never reads costs nothing.
   * @param timeout milliseconds in which the whole message must arrive
   * @returns undefined when the peer has closed the connection
   * @throws {ChannelClosed} after the timeout, or when the connection was closed here
   * @throws {FramingError} for bytes that are no message
   * @throws {UninvitedFds} for descriptors from a peer that may send none; receiving is over then
   * @throws {SystemError} ECONNRESET
   */
  async receive(timeout: number): Promise<string | undefined> {
    const deadline = performance.now() + timeout;
    for (let reads = 0;; reads++) {
      const message = this.#splitter.next();
      const left = deadline - performance.now();
      if (message !== undefined) {
        if (reads === 0) await this.#ready(POLLOUT, left);
        return message;
      }
      // A peer whose next byte is always there already would never meet the poller's time limit.
      if (left <= 0 && reads > 0) throw new ChannelClosed("the message is not complete in time");
      await this.#ready(POLLIN, left);
      // Other code has run since poll said so, and may have closed the connection.
      this.#mustBeOpen();
      const received = this.#guard
        ? await this.#receiveGuarded(this.#guard.look)
        : this.#receiveWithFds();
      if (received !== 0) continue;
      this.#ended = true;
      return undefined;
    }
  }

  /** Copies what was received out of the buffer, at once: all channels share that. */
  #append(received: { length: number } | undefined): number | undefined {
    if (!received?.length) return received?.length;
    this.keep?.(this.#splitter.pending.length + received.length, this.#received.length);
    this.#splitter.push(buffer.subarray(0, received.length));
    return received.length;
  }

  #receiveWithFds(): number | undefined {
    const received = receiveMessage(this.fd, buffer);
    if (received === undefined) return undefined;
    this.truncated ||= received.truncated;
    for (const fd of received.fds) {
      if (this.#received.length < this.maxFds) this.#received.push(fd);
      else discard(fd);
    }
    return this.#append(received);
  }

  async #receiveGuarded(look: Look | undefined): Promise<number | undefined> {
    const received = receiveBytes(this.fd, buffer);
    if (!received?.withFds) return this.#append(received);
    // Others use the buffer during the look.
    const text = [this.pending, buffer.subarray(0, received.length)]
      .map((bytes) => new TextDecoder().decode(bytes)).join("");
    if (!await look?.(this.fd)) {
      throw new UninvitedFds(text, look ? "descriptors but those of sockets" : "descriptors");
    }
    this.#mustBeOpen();
    // Nobody else takes from this queue: it is the same message.
    return this.#receiveWithFds();
  }

  /** Whether descriptors have been received that nobody has taken. */
  get holdsFds(): boolean {
    return this.#received.length > 0;
  }

  /** Takes the descriptors received so far; the caller owns them. */
  takeFds(): Fd[] {
    return this.#received.splice(0);
  }

  /** Sends a message, as {@link sendBytes} does. */
  async send(message: object, fds: readonly Fd[], timeout: number): Promise<void> {
    await this.sendBytes(encodeMessage(message), fds, timeout);
  }

  /**
   * Sends bytes, as {@link sendWhole} does.
   * @param fds stay the caller's
   * @param timeout milliseconds that the peer may leave its end unread
   * @param fdsAtOnce descriptors in one sendmsg
   * @throws {ChannelClosed} after the timeout, or when the connection was closed here
   * @throws {SystemError}
   */
  async sendBytes(
    message: Uint8Array<ArrayBuffer>,
    fds: readonly Fd[],
    timeout: number,
    fdsAtOnce?: number,
  ): Promise<void> {
    const send = (bytes: Uint8Array<ArrayBuffer>, fds: readonly Fd[]) => {
      this.#mustBeOpen();
      return sendMessage(this.fd, bytes, fds);
    };
    const room = () => this.#ready(POLLOUT, timeout);
    await sendWhole(message, fds, { send, room, timeout, fdsAtOnce });
  }

  /** Closes the connection; a wait in progress ends with {@link ChannelClosed}. */
  close(): void {
    if (this.fd.closed) return;
    this.poller.cancel(this.fd);
    this.fd.close();
    this.takeFds().forEach(discard);
    discardNow();
  }

  /** Gives the connection up without ending it: a successor may have it. */
  leave(): void {
    if (this.fd.closed) return;
    this.poller.cancel(this.fd);
    discard(this.fd);
    this.takeFds().forEach(discard);
  }

  /**
   * Closes the connection for every holder of it, whatever the peer has sent that was not received.
   * @param close closes the descriptor; `clean` when nothing that was sent is left
   */
  dismiss(close: (fd: Fd, clean: boolean) => void = closeSafely): void {
    if (this.fd.closed) return;
    shutDown(this.fd, SHUT_RDWR);
    this.poller.cancel(this.fd);
    const clean = this.#ended || this.#drain();
    this.#splitter.forget();
    close(new Fd(this.fd.release()), clean);
    this.takeFds().forEach(discard);
  }

  /** Reads what is left, up to the first descriptor. @returns whether nothing is left */
  #drain(): boolean {
    for (let round = 0; round < MAX_DRAIN; round++) {
      try {
        const received = receiveBytes(this.fd, buffer);
        if (!received?.length) return true;
        if (received.withFds) return false;
      } catch (error) {
        if (!(error instanceof SystemError)) throw error;
        // ECONNRESET comes once, when the peer has closed without reading everything. What it has sent is still there.
      }
    }
    return false;
  }

  async #ready(events: number, timeout: number): Promise<void> {
    this.#mustBeOpen();
    const revents = await this.poller.wait(this.fd, events, timeout);
    this.#mustBeOpen();
    if (revents === 0) throw new ChannelClosed("no answer in time");
  }

  #mustBeOpen(): void {
    if (this.fd.closed) throw new ChannelClosed("the connection is closed");
  }
}

/** To close a connection is to close the descriptors that are left in its queue, which may take long. */
function closeSafely(fd: Fd, clean: boolean): void {
  if (clean) fd.close();
  else discard(fd);
}
