/**
 * What the requests and answers of clients may take: bytes that are kept of them, descriptors on the way, and
 * turns of long requests. No user's clients can leave those of other users without.
 */

import { SO_SNDBUF, SOL_SOCKET } from "../../ffi/constants.ts";
import type { Fd } from "../../ffi/fd.ts";
import { fdLimit } from "../../ffi/rlimit.ts";
import { setOption } from "../../ffi/socket.ts";
import { giveTurn, Queue } from "../turns.ts";
import { type Bounds, Budget } from "./budget.ts";
import type { Client } from "./clients.ts";
import { lacking } from "./refusal.ts";
import { RPC, RpcError } from "./messages.ts";
import { GoneFds, isLack } from "./sending.ts";
import { sendBuffer, Unread } from "./unread.ts";

const MIB = 1024 * 1024;

/** Bytes of the requests under way and of answers that wait to be sent. */
const BYTES: Bounds = { user: 4 * MIB, others: 16 * MIB, all: 48 * MIB };

/** Bytes that are not counted: 512 clients have 4 MiB of them. */
const FREE = 8192;

/** Bytes of a request that has to wait for its turn: others must not wait until it is even read. */
const LONG = 4096;

/** Descriptors of requests that are not complete; root and the own user could take as many in other ways. */
function boundsOfReceived(): Bounds {
  const limit = Number(fdLimit().soft);
  return { user: Math.floor(limit / 4), others: Math.floor(limit / 2), all: Infinity };
}

/** An answer to send. */
export interface Answer {
  bytes: Uint8Array<ArrayBuffer>;
  fds: readonly Fd[];
}

/** See the module's description. */
export class Shares {
  readonly #bytes = new Budget(BYTES);
  readonly #received = new Budget(boundsOfReceived());
  readonly #unread = new Unread();
  /** Turns of the users who are not trusted, for their long requests. */
  readonly #turns = new Map<number, Queue>();

  /** Makes the kernel keep little for a client: the rest of what it does not read waits here, and is counted. */
  begin({ channel, user }: Client): void {
    if (channel.fd.closed) return;
    setOption(channel.fd, SOL_SOCKET, SO_SNDBUF, sendBuffer(user));
  }

  /**
   * Counts what is kept of a client's request and answer, beyond what everybody may have.
   * @param fds that came with a request which is not complete
   * @throws {RpcError} when it would be too much
   */
  keep(client: Client, bytes: number, fds = 0): void {
    const more = fds - client.keptFds;
    if (more > 0) {
      if (!this.#received.take(client.user, more)) {
        throw lacking("descriptors that it has sent", client.peer, "ENOBUFS");
      }
      client.keptFds = fds;
    }
    if (bytes <= FREE || bytes <= client.kept) return;
    if (!this.#bytes.take(client.user, bytes - client.kept)) {
      throw lacking("requests and answers", client.peer, "ENOBUFS");
    }
    client.kept = bytes;
  }

  /** Counts nothing any more as kept of a client's request and answer. */
  forget(client: Client): void {
    this.#bytes.give(client.user, client.kept);
    this.#received.give(client.user, client.keptFds);
    client.kept = client.keptFds = 0;
  }

  /**
   * Has a request answered in its turn. Of a user who is not trusted, long ones are handled one at a time: what is
   * made of one takes ten times its own room, and there may be many.
   * @throws {RpcError} when it is for more sockets than could be sent, before anything is made of it
   */
  async inTurn(client: Client, text: string, handle: () => Promise<Answer>): Promise<Answer> {
    if (text.length <= LONG) return await handle();
    await giveTurn();
    this.#expect(client, text);
    const { uid, trusted } = client.user;
    if (trusted) return await handle();
    const turns = this.#turns.get(uid) ?? new Queue(1);
    this.#turns.set(uid, turns);
    return await turns.run(handle);
  }

  /** Makes sure that a request is not for more sockets than could be sent. */
  #expect({ channel, peer, user }: Client, text: string): void {
    if (channel.fd.closed) return;
    const { fd } = channel;
    const expected = occurrences(text, '"address"');
    if (!this.#unread.take(fd, user, expected)) throw lacking("descriptors", peer, "ETOOMANYREFS");
    this.#unread.giveBack(fd, expected);
  }

  /**
   * Sends an answer.
   * @param idle milliseconds that the client may leave its end unread
   * @throws {RpcError} when it would be too much
   */
  async send({ channel, peer, user }: Client, { bytes, fds }: Answer, idle: number): Promise<void> {
    if (fds.length > 0 && !channel.fd.closed && !this.#unread.take(channel.fd, user, fds.length)) {
      throw lacking("descriptors", peer, "ETOOMANYREFS");
    }
    try {
      await channel.sendBytes(bytes, fds, idle, this.#unread.atOnce(user));
    } catch (error) {
      if (error instanceof GoneFds) {
        const why =
          "a socket was given up, or bound anew, while its answer waited; ask again (EAGAIN)";
        throw new RpcError(RPC.failed, why, { code: "EAGAIN" });
      }
      if (!isLack(error)) throw error;
      throw lacking(`what the kernel has room for (${error.message})`, peer, error.code);
    }
  }

  /** Closes a client's connection, once what was sent has been read. */
  dismiss({ channel }: Client): void {
    channel.dismiss((fd, clean) => this.#unread.close(fd, clean));
  }

  /** Closes the connections that are over, read or not. */
  closeEnded(): void {
    this.#unread.closeEnded();
  }
}

function occurrences(text: string, part: string): number {
  let count = 0;
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) count++;
  return count;
}
