/** What a service sees of systemd: a socket that takes its datagrams, and the descriptors in them. */

import "./libc.ts";
import { AF_UNIX, POLLIN, SOCK_DGRAM, SOCK_NONBLOCK } from "../../ffi/constants.ts";
import type { Fd } from "../../ffi/fd.ts";
import { receiveMessage } from "../../ffi/fd_passing.ts";
import { Poller } from "../../ffi/poll.ts";
import { bindSocket, createSocket } from "../../ffi/socket.ts";
import { settled } from "./poller.ts";
import { tempDir } from "./temp_dir.ts";
import { PATIENCE } from "./deadline.ts";

const poller = new Poller();

export interface Datagram {
  /** Its lines. */
  lines: string[];
  /** Close-on-exec, the test's. */
  fds: Fd[];
}

export class NotifySocket implements AsyncDisposable {
  readonly #folder = tempDir();
  readonly #fd: Fd = createSocket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK);
  /** For NOTIFY_SOCKET. */
  readonly path: string;

  /** @param abstract whether it is in the abstract namespace */
  constructor(abstract = false) {
    const name = abstract
      ? `\0multibinder-test-${crypto.randomUUID()}`
      : this.#folder.file("notify");
    bindSocket(this.#fd, { family: "unix", path: name });
    this.path = name.replace("\0", "@");
  }

  /** The next datagram, if it is there already. */
  take(): Datagram | undefined {
    const buffer = new Uint8Array(4096);
    const received = receiveMessage(this.#fd, buffer);
    if (received === undefined) return undefined;
    const text = new TextDecoder().decode(buffer.subarray(0, received.length));
    return { lines: text.split("\n"), fds: received.fds };
  }

  /** All datagrams that are there; descriptors in them are closed. */
  takeAll(): string[][] {
    const all: string[][] = [];
    for (let one = this.take(); one; one = this.take()) {
      one.fds.forEach((fd) => fd.close());
      all.push(one.lines);
    }
    return all;
  }

  /** Waits for the next datagram. */
  async next(): Promise<Datagram> {
    for (;;) {
      const datagram = this.take();
      if (datagram) return datagram;
      if (await poller.wait(this.#fd, POLLIN, PATIENCE) === 0) {
        throw new Error(`no datagram in ${PATIENCE / 1000} s`);
      }
    }
  }

  /** Waits for one with this line. @returns the datagrams up to it, without their descriptors */
  async until(line: string): Promise<string[][]> {
    const seen: string[][] = [];
    for (;;) {
      const { lines, fds } = await this.next();
      fds.forEach((fd) => fd.close());
      seen.push(lines);
      if (lines.includes(line)) return seen;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await settled(poller);
    this.takeAll();
    this.#fd.close();
    this.#folder[Symbol.dispose]();
  }
}
