/**
 * The other side of sd_notify(3): a datagram socket to which a server tells how it does, under the name that
 * it finds in NOTIFY_SOCKET. It is in the abstract namespace, so that it leaves no file behind.
 *
 * Anyone in the same network namespace can send to it. The kernel tells who did (SO_PASSCRED, unix(7)).
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
import { type Received, receiveMessage } from "../../ffi/fd_passing.ts";
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
   * @param take what is done about a datagram
   */
  constructor(
    readonly poller: Poller,
    readonly isOurs: (pid: number) => boolean,
    readonly take: (notification: Notification) => void,
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
      const received = await this.#receive(buffer);
      if (received === undefined) continue;
      const { length, fds, sender } = received;
      // Looked at before its descriptors are closed: a sender may wait for that (BARRIER=1) and then end.
      if (sender !== undefined && this.isOurs(sender.pid)) {
        this.take(parseNotification(new TextDecoder().decode(buffer.subarray(0, length))));
      }
      fds.forEach(discard);
    }
  }

  async #receive(buffer: Uint8Array<ArrayBuffer>): Promise<Received | undefined> {
    try {
      return receiveMessage(this.#fd, buffer);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      // The kernel may lack memory: the datagram is still there.
      await new Promise((resolve) => setTimeout(resolve, RETRY));
      return undefined;
    }
  }

  /** Hears no more. */
  [Symbol.dispose](): void {
    this.poller.cancel(this.#fd);
    this.#fd.close();
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
