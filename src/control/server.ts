/** The control socket: accepts clients and answers their requests, each client on its own. */

import { POLLIN, SO_PASSRIGHTS, SO_SNDBUF, SOL_SOCKET } from "../../ffi/constants.ts";
import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { isReady, type Poller } from "../../ffi/poll.ts";
import { discard, discardNow } from "../../ffi/discard.ts";
import { acceptSocket, peerCredentials, setOption } from "../../ffi/socket.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { giveTurn, Queue } from "../turns.ts";
import { type Bounds, Budget, type User } from "./budget.ts";
import { Channel, ChannelClosed, isLack, UninvitedFds } from "./channel.ts";
import { callerOf, type Client, Clients, type HandedConnection } from "./clients.ts";
import type { Handler, Peer, Reply, Rights } from "./handler.ts";
import {
  encodeMessage,
  parseRequest,
  type Request,
  type RequestId,
  RPC,
  RpcError,
} from "./messages.ts";
import { complaintAbout, denial, lacking, lastAnswer } from "./refusal.ts";
import { Repeats } from "./repeats.ts";
import { sendBuffer, Unread } from "./unread.ts";

/** Bounds on what clients may take. */
export interface Limits {
  /**
   * Clients connected at once, the attached ones not counted; the one that is silent for longest makes
   * room for the next.
   */
  clients: number;
  /** Milliseconds in which a client must complete a request, and must read its answer. */
  idle: number;
}

export const DEFAULT_LIMITS: Limits = { clients: 512, idle: 60_000 };

/** Milliseconds in which a peer that is not served may say what it wants. */
const REFUSAL_TIME = 1000;

/** Characters that the log shows of what a client has written. */
const SHOWN = 200;

/** A crowd that never ends must leave those accepted, and signals, their turn. */
const ACCEPTED_AT_ONCE = 64;

/** Milliseconds without accepting after a failure that only time mends (no memory, no descriptors). */
const ACCEPT_PAUSE = 100;

const MIB = 1024 * 1024;

/** Bytes of the requests under way and of answers that wait to be sent. */
const BYTES: Bounds = { user: 4 * MIB, others: 16 * MIB, all: 48 * MIB };

/** Bytes that are not counted: 512 clients have 4 MiB of them. */
const FREE = 8192;

/** Bytes of a request that has to wait for its turn: others must not wait until it is even read. */
const LONG = 4096;

/** Serves the control socket until it is closed. */
export class ControlServer {
  readonly clients = new Clients();
  readonly #bytes = new Budget(BYTES);
  readonly #unread = new Unread();
  readonly #repeats: Repeats;
  #lastId = 0;
  /** Turns of the users who are not trusted, for their long requests. */
  readonly #turns = new Map<number, Queue>();
  readonly counters = { connections: 0, requests: 0, errors: 0 };

  constructor(
    readonly listening: Fd,
    readonly poller: Poller,
    readonly handle: Handler,
    readonly log: Log,
    readonly rights: (peer: Peer) => Rights,
    readonly limits: Limits = DEFAULT_LIMITS,
  ) {
    this.#repeats = new Repeats(log);
  }

  /** Accepts clients for ever. */
  async run(): Promise<void> {
    while (!this.listening.closed) {
      await this.poller.wait(this.listening, POLLIN);
      try {
        for (let left = ACCEPTED_AT_ONCE; left > 0; left--) {
          const fd = this.#accept();
          if (fd === undefined) break;
          this.counters.connections++;
          this.serve({ fd, pending: new Uint8Array() });
        }
      } catch (error) {
        if (!(error instanceof SystemError)) throw error;
        // Out of descriptors, accept4 fails before it looks whether somebody waits.
        if (this.#clientWaits()) await this.#makeRoom(error);
      }
    }
  }

  /**
   * Serves a connection.
   * @param answer to a request that waits for one
   */
  serve({ fd, pending, holds, about, owed }: HandedConnection, answer?: unknown): void {
    let peer: Peer;
    try {
      peer = peerCredentials(fd);
    } catch (error) {
      this.log.warn("cannot tell who a client is", { error: messageOf(error) });
      return new Channel(fd, this.poller).dismiss();
    }
    const { served, trusted, maxFds, maxBytes, look } = this.rights(peer);
    const channel = new Channel(fd, this.poller, pending, maxBytes);
    channel.maxFds = maxFds;
    if (maxFds === 0) channel.refuseFds();
    else if (look) channel.receiveSockets(look);
    if (!served) stopFds(fd);
    const client: Client = {
      channel,
      peer,
      busy: false,
      answered: false,
      served,
      user: { uid: peer.uid, trusted },
      kept: 0,
      id: ++this.#lastId,
      ...(holds && { holds }),
      ...(about && { about }),
    };
    channel.keep = (bytes) => this.#keep(client, bytes);
    this.clients.touch(client);
    const attached = this.clients.attached.length;
    if (this.clients.size - attached > this.limits.clients) this.#dropIdlest();
    void this.#serve(client, owed === undefined ? undefined : { id: owed, result: answer });
  }

  /** Closes the connections of those who have other rights by now: they may come again with these. */
  closeChanged(): void {
    for (const { channel, peer, served, user } of this.clients) {
      const now = this.rights(peer);
      const same = now.served === served && now.trusted === user.trusted &&
        now.maxFds === channel.maxFds;
      if (!same) channel.dismiss();
    }
  }

  /** Closes the connections that a successor does not get: execve would close them, and may wait. */
  closeExcept(kept: readonly Fd[]): void {
    const fds = new Set(kept);
    for (const { channel } of this.clients) if (!fds.has(channel.fd)) channel.dismiss();
    this.#unread.closeEnded();
  }

  /** Closes every connection and the listening control socket. */
  close(): void {
    for (const { channel } of this.clients) channel.leave();
    this.#unread.closeEnded();
    this.#repeats.close();
    this.poller.cancel(this.listening);
    discard(this.listening);
    discardNow();
  }

  #accept(): Fd | undefined {
    try {
      return this.listening.closed ? undefined : acceptSocket(this.listening);
    } catch (error) {
      // The client went away while it waited.
      if (error instanceof SystemError && error.code === "ECONNABORTED") return undefined;
      throw error;
    }
  }

  #clientWaits(): boolean {
    try {
      return isReady(this.listening, POLLIN);
    } catch {
      return true; // Perhaps, and time mends that as well.
    }
  }

  async #serve(client: Client, owed?: object): Promise<void> {
    const { channel } = client;
    try {
      if (!client.served) return await this.#refuse(client);
      if (owed) await channel.send(owed, [], this.limits.idle);
      while (await this.#serveOne(client));
    } catch (error) {
      await this.#complain(client, error);
    } finally {
      this.clients.remove(client);
      this.#forget(client);
      this.#dismiss(client);
    }
  }

  /**
   * Answers the next request. A suspended function keeps all that it has named: a long request would be kept
   * until the next one, were this in a loop.
   * @returns false when there is none
   */
  async #serveOne(client: Client): Promise<boolean> {
    const { channel } = client;
    const text = await channel.receive(client.holds ? Infinity : this.limits.idle);
    if (text === undefined) return false;
    if (client.hasAsked !== true) {
      client.hasAsked = true;
      // Little: what a client does not read waits here, and is counted, not in the kernel.
      setOption(channel.fd, SOL_SOCKET, SO_SNDBUF, sendBuffer(client.user));
    }
    client.busy = true;
    this.clients.touch(client);
    await this.#answer(client, text);
    channel.takeFds().forEach(discard);
    client.busy = client.answered = false;
    this.#forget(client);
    this.clients.tellAnswered();
    return true;
  }

  #dismiss({ channel }: Client): void {
    channel.dismiss((fd, clean) => this.#unread.close(fd, clean));
  }

  /** Answers the first request of a peer that is not served, whatever it is. */
  async #refuse({ channel, peer }: Client): Promise<void> {
    const text = await this.#firstWords(channel);
    if (text === undefined) return;
    this.counters.requests++;
    this.counters.errors++;
    const { pid, uid, gid } = peer;
    this.#repeats.warn("denied a client", { pid, uid, gid, asked: text.slice(0, SHOWN) });
    await channel.send(denial(text, peer), [], REFUSAL_TIME);
  }

  async #firstWords(channel: Channel): Promise<string | undefined> {
    try {
      return await channel.receive(Math.min(REFUSAL_TIME, this.limits.idle));
    } catch (error) {
      if (error instanceof UninvitedFds) return error.text;
      throw error;
    }
  }

  async #answer(client: Client, text: string): Promise<void> {
    const { channel, peer } = client;
    this.counters.requests++;
    let id: RequestId = null;
    try {
      if (text.length > LONG) await giveTurn();
      this.#expect(client, text);
      const answer = await this.#inTurn(
        client.user,
        text.length,
        () => this.#replyTo(client, text, (known) => id = known),
      );
      this.#keep(client, text.length + answer.bytes.length);
      client.answered = true;
      await this.#send(client, answer);
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      client.owed = undefined;
      this.counters.errors++;
      client.answered = true;
      const { pid, uid } = peer;
      const fields = { pid, uid, error: error.message.slice(0, SHOWN) };
      // What was tried and has failed is told by whoever tried.
      const isTold = error.body.code === RPC.failed && error.body.data === undefined;
      if (isTold) this.log.debug("refused a request", fields);
      else this.#repeats.warn("refused a request", fields);
      await channel.send({ id, error: error.body }, [], this.limits.idle);
    }
  }

  /** Counts what is kept of a client's request and answer, beyond what everybody may have. */
  #keep(client: Client, bytes: number): void {
    if (bytes <= FREE || bytes <= client.kept) return;
    if (!this.#bytes.take(client.user, bytes - client.kept)) {
      throw lacking("requests and answers", client.peer, "ENOBUFS");
    }
    client.kept = bytes;
  }

  #forget(client: Client): void {
    this.#bytes.give(client.user, client.kept);
    client.kept = 0;
  }

  /** Refuses a long request for more sockets than could be sent, before anything is made of it. */
  #expect({ channel, peer, user }: Client, text: string): void {
    if (text.length <= LONG || channel.fd.closed) return;
    const { fd } = channel;
    const expected = occurrences(text, '"address"');
    if (!this.#unread.take(fd, user, expected)) throw lacking("descriptors", peer, "ETOOMANYREFS");
    this.#unread.giveBack(fd, expected);
  }

  /**
   * Of a user who is not trusted, long requests are handled one at a time: what is made of one takes ten times
   * its own room, and there may be many.
   */
  async #inTurn<T>(user: User, length: number, handle: () => Promise<T>): Promise<T> {
    if (user.trusted || length <= LONG) return await handle();
    const turns = this.#turns.get(user.uid) ?? new Queue(1);
    this.#turns.set(user.uid, turns);
    return await turns.run(handle);
  }

  /** Has a request handled. Nothing of it is kept beyond this: its answer may wait for long. */
  async #replyTo(
    client: Client,
    text: string,
    identify: (id: RequestId) => void,
  ): Promise<{ bytes: Uint8Array<ArrayBuffer>; fds: readonly Fd[] }> {
    const request = parseRequest(text);
    identify(request.id);
    const { result, fds } = await this.#handle(request, client);
    return { bytes: encodeMessage({ id: request.id, result }), fds };
  }

  async #send(
    { channel, peer, user }: Client,
    { bytes, fds }: { bytes: Uint8Array<ArrayBuffer>; fds: readonly Fd[] },
  ): Promise<void> {
    if (fds.length > 0 && !channel.fd.closed && !this.#unread.take(channel.fd, user, fds.length)) {
      throw lacking("descriptors", peer, "ETOOMANYREFS");
    }
    try {
      await channel.sendBytes(bytes, fds, this.limits.idle, this.#unread.atOnce(user));
    } catch (error) {
      if (isLack(error)) {
        throw lacking(`what the kernel has room for (${error.message})`, peer, error.code);
      }
      throw error;
    }
  }

  /** A system call that fails for one request is that request's failure, and no end of the connection. */
  async #handle(request: Request, client: Client): Promise<Reply> {
    try {
      return await this.handle(request, callerOf(client, request.id));
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      throw new RpcError(RPC.failed, messageOf(error), { code: error.code });
    }
  }

  /** The end of a connection that did not end well. Nothing here may reach the other clients. */
  async #complain({ channel, peer }: Client, error: unknown): Promise<void> {
    const about = { pid: peer.pid, uid: peer.uid, error: messageOf(error) };
    if (error instanceof ChannelClosed) return this.log.debug("closed a silent client", about);
    if (error instanceof SystemError) return this.log.debug("lost a client", about);
    const answer = lastAnswer(error, peer);
    if (answer === undefined) return this.log.error("failed to serve a client", about);
    this.counters.errors++;
    this.#repeats.warn(complaintAbout(error), about);
    await channel.send(answer, [], ACCEPT_PAUSE).catch(() => {});
  }

  async #makeRoom(error: SystemError): Promise<void> {
    this.log.error("cannot accept a client", { error: messageOf(error) });
    const helps = error.code === "EMFILE" && this.#dropIdlest();
    if (!helps) await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE));
  }

  /** @returns whether there is room for one more */
  #dropIdlest(): boolean {
    const client = this.clients.removeIdlest();
    if (client === undefined) return false;
    const { pid, uid } = client.peer;
    this.#repeats.warn("too many clients, closed the longest silent one", { pid, uid });
    this.#dismiss(client);
    return true;
  }
}

function occurrences(text: string, part: string): number {
  let count = 0;
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) count++;
  return count;
}

/** Has the kernel refuse descriptors from here on: those who are let in are told by us, and may go on. */
function stopFds(fd: Fd): void {
  try {
    setOption(fd, SOL_SOCKET, SO_PASSRIGHTS, 0);
  } catch (error) {
    // ENOPROTOOPT before Linux 6.16, and perhaps not even that where system calls are filtered.
    if (!(error instanceof SystemError)) throw error;
  }
}
