/**
 * The other side of sd_notify(3): a datagram socket to which a server tells how it does, under the name that
 * it finds in NOTIFY_SOCKET. It is in the abstract namespace, so that it leaves no file behind.
 *
 * Anyone in the same network namespace can send to it: /proc/net/unix has its name. The kernel tells who did
 * (SO_PASSCRED, unix(7)).
 * @module
 */

import {
  AF_UNIX,
  POLLIN,
  SO_PASSCRED,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOL_SOCKET,
} from "../../ffi/constants.ts";
import { discard } from "../../ffi/discard.ts";
import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { peekSender, receiveMessage, type Sender } from "../../ffi/fd_passing.ts";
import type { Poller } from "../../ffi/poll.ts";
import { bindSocket, createSocket, setOption } from "../../ffi/socket.ts";

/** Bytes of a datagram that are read, as many as systemd reads. */
const MAX_DATAGRAM = 4096;

/** Milliseconds until the next attempt after one that failed. */
const RETRY = 100;

/** What one datagram says, by the names of sd_notify(3). */
export type Notification = ReadonlyMap<string, string>;

/** See the module's description. */
export class NotifyListener implements Disposable {
  readonly #fd: Fd = createSocket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK);
  /** For NOTIFY_SOCKET. */
  readonly name = `@multibinder-notify-${crypto.randomUUID()}`;

  /**
   * @param isOurs whether a process may speak for the server: others are not heard
   * @param take is given each datagram
   * @param deafened is given the sender when another process has sent descriptors. Whoever receives them has to close
   *   them, which may never end: so they are left where they are, and nothing more is heard
   */
  constructor(
    readonly poller: Poller,
    readonly isOurs: (pid: number) => boolean,
    readonly take: (notification: Notification) => void,
    readonly deafened: (sender: Sender | undefined) => void = () => {},
  ) {
    setOption(this.#fd, SOL_SOCKET, SO_PASSCRED, 1);
    bindSocket(this.#fd, { family: "unix", path: this.name.replace("@", "\0") });
    void this.#run();
  }

  async #run(): Promise<void> {
    const buffer = new Uint8Array(MAX_DATAGRAM);
    while (!this.#fd.closed) {
      // It may be closed between the end of the wait and here.
      if (await this.poller.wait(this.#fd, POLLIN) === 0 || this.#fd.closed) continue;
      try {
        this.#hear(buffer);
      } catch (error) {
        if (!(error instanceof SystemError)) throw error;
        // The kernel may lack memory: the datagram is still there.
        await new Promise((resolve) => setTimeout(resolve, RETRY));
      }
    }
  }

  #hear(buffer: Uint8Array<ArrayBuffer>): void {
    const waiting = peekSender(this.#fd);
    if (waiting === undefined) return;
    const { sender, withFds } = waiting;
    const isOurs = sender !== undefined && this.isOurs(sender.pid);
    if (withFds && !isOurs) {
      this[Symbol.dispose]();
      return this.deafened(sender);
    }
    const received = receiveMessage(this.#fd, buffer);
    // Taken before its descriptors are closed: a sender may wait for that (BARRIER=1) and then end.
    if (received && isOurs) {
      this.take(parseNotification(new TextDecoder().decode(buffer.subarray(0, received.length))));
    }
    received?.fds.forEach(discard);
  }

  /** Hears no more. */
  [Symbol.dispose](): void {
    if (this.#fd.closed) return;
    this.poller.cancel(this.#fd);
    // With it the kernel closes what lies in its queue.
    discard(this.#fd);
  }
}

/** Reads the lines of a datagram; one that is no `NAME=VALUE` is passed over. */
export function parseNotification(text: string): Notification {
  return new Map(
    text.split("\n").flatMap((line): [string, string][] => {
      const at = line.indexOf("=");
      return at > 0 ? [[line.slice(0, at), line.slice(at + 1)]] : [];
    }),
  );
}
