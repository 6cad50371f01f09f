/** The control socket: accepts clients and answers their requests, each client on its own. */

import { SO_PASSRIGHTS, SOL_SOCKET } from "../../ffi/constants.ts";
import { discard, discardNow } from "../../ffi/discard.ts";
import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import type { Poller } from "../../ffi/poll.ts";
import { peerCredentials, setOption } from "../../ffi/socket.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { ACCEPT_PAUSE, acceptAll } from "./accepting.ts";
import { Channel, ChannelClosed, UninvitedFds } from "./channel.ts";
import { callerOf, type Client, Clients, type HandedConnection } from "./clients.ts";
import { type ConnectionState, parseConnection } from "./connection_state.ts";
import type { Handler, Peer, Reply, Rights } from "./handler.ts";
import {
  encodeAnswer,
  parseRequest,
  type Request,
  type RequestId,
  RPC,
  RpcError,
} from "./messages.ts";
import { complaintAbout, denial, lastAnswer } from "./refusal.ts";
import { Repeats } from "./repeats.ts";
import { type Answer, Shares } from "./shares.ts";

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

/** The limits of a binder and of a wrapper. */
export const DEFAULT_LIMITS: Limits = { clients: 512, idle: 60_000 };

/** Milliseconds in which a peer that is not served may say what it wants. */
const REFUSAL_TIME = 1000;

/** Characters that the log shows of what a client has written. */
const SHOWN = 200;

/** Serves the control socket until it is closed. */
export class ControlServer {
  readonly #shares = new Shares();
  readonly #repeats: Repeats;
  #lastId = 0;

  constructor(
    readonly listening: Fd,
    readonly poller: Poller,
    readonly handle: Handler,
    readonly log: Log,
    readonly rights: (peer: Peer) => Rights,
    readonly limits: Limits = DEFAULT_LIMITS,
    readonly clients: Clients = new Clients(),
  ) {
    this.#repeats = new Repeats(log);
  }

  /** Accepts clients for ever. */
  async run(): Promise<void> {
    const serve = (fd: Fd) => {
      this.clients.counters.connections++;
      this.serve({ fd, pending: new Uint8Array() });
    };
    await acceptAll(this.listening, this.poller, serve, (error) => {
      this.log.error("cannot accept a client", { error: messageOf(error) });
      return error.code === "EMFILE" && this.#dropIdlest();
    });
  }

  /**
   * Goes on with the connections of an earlier program.
   * @param answer to the request that waits for one
   */
  resume(connections: readonly ConnectionState[], answer: unknown): void {
    for (const state of connections) {
      const connection = parseConnection(state);
      connection.fd.closeOnExec = true;
      this.serve(connection, answer);
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
    if (maxFds === 0 || look) channel.guardFds(look);
    if (!served) stopFds(fd);
    const client: Client = {
      channel,
      peer,
      busy: false,
      answered: false,
      served,
      user: { uid: peer.uid, trusted },
      kept: 0,
      keptFds: 0,
      id: ++this.#lastId,
      ...(holds && { holds }),
      ...(about && { about }),
    };
    channel.keep = (bytes, fds) => this.#shares.keep(client, bytes, fds);
    this.clients.touch(client);
    const attached = this.clients.attached.length;
    if (this.clients.size - attached > this.limits.clients) this.#dropIdlest();
    void this.#serve(client, owed === undefined ? undefined : { id: owed, result: answer });
  }

  /** Closes the connections of those who have other rights by now: they may come again with these. */
  closeChanged(): void {
    for (const client of this.clients) {
      const { channel, peer, served, user } = client;
      const now = this.rights(peer);
      const same = now.served === served && now.trusted === user.trusted &&
        now.maxFds === channel.maxFds;
      if (!same) this.#shares.dismiss(client);
    }
  }

  /** Closes the connections of the attached: they come again, and hand back what they hold. @returns how many */
  closeAttached(): number {
    const attached = [...this.clients].filter(({ busy, holds }) => holds && !busy);
    for (const client of attached) this.#shares.dismiss(client);
    return attached.length;
  }

  /** Closes the connections that a successor does not get: execve would close them, and may wait. */
  closeExcept(kept: readonly Fd[]): void {
    const fds = new Set(kept);
    for (const client of this.clients) {
      if (!fds.has(client.channel.fd)) this.#shares.dismiss(client);
    }
    this.#shares.closeEnded();
  }

  /** Closes every connection and the listening control socket. */
  close(): void {
    for (const { channel } of this.clients) channel.leave();
    this.#shares.closeEnded();
    this.#repeats.close();
    this.poller.cancel(this.listening);
    discard(this.listening);
    discardNow();
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
      this.#shares.forget(client);
      this.#shares.dismiss(client);
    }
  }

  /**
   * Answers the next request. A suspended function keeps what its variables refer to: if this were the body of
   * a loop, a long request would stay in memory until the next one comes.
   * @returns false when there is none
   */
  async #serveOne(client: Client): Promise<boolean> {
    const { channel } = client;
    const text = await channel.receive(client.holds ? Infinity : this.limits.idle);
    if (text === undefined) return false;
    if (client.hasAsked !== true) {
      client.hasAsked = true;
      this.#shares.begin(client);
    }
    client.busy = true;
    this.clients.touch(client);
    await this.#answer(client, text);
    channel.takeFds().forEach(discard);
    client.busy = client.answered = false;
    this.#shares.forget(client);
    this.clients.tellAnswered();
    return true;
  }

  /** Answers the first request of a peer that is not served, whatever it is. */
  async #refuse({ channel, peer }: Client): Promise<void> {
    const text = await this.#firstWords(channel);
    if (text === undefined) return;
    this.clients.counters.requests++;
    this.clients.counters.errors++;
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
    this.clients.counters.requests++;
    let id: RequestId = null;
    try {
      const reply = () => this.#replyTo(client, text, (known) => id = known);
      const answer = await this.#shares.inTurn(client, text, reply);
      this.#shares.keep(client, text.length + answer.bytes.length);
      client.answered = true;
      await this.#shares.send(client, answer, this.limits.idle);
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      client.owed = undefined;
      this.clients.counters.errors++;
      client.answered = true;
      const { pid, uid } = peer;
      const fields = { pid, uid, error: error.message.slice(0, SHOWN) };
      // What was tried and has failed, as a reload, is in the log already.
      const isLogged = error.body.code === RPC.failed && error.body.data === undefined;
      if (isLogged) this.log.debug("refused a request", fields);
      else this.#repeats.warn("refused a request", fields);
      await channel.send({ id, error: error.body }, [], this.limits.idle);
    }
  }

  /** Reads and handles a request. Nothing of it is kept when this returns, since its answer may wait for long. */
  async #replyTo(
    client: Client,
    text: string,
    identify: (id: RequestId) => void,
  ): Promise<Answer> {
    const request = parseRequest(text);
    identify(request.id);
    const { result, fds } = await this.#handle(request, client);
    return { bytes: await encodeAnswer(request.id, result), fds };
  }

  /** A system call that fails for one request is that request's failure, and no end of the connection. */
  async #handle(request: Request, client: Client): Promise<Reply> {
    try {
      return await this.handle(request, callerOf(client, request.id, this.clients, this.#repeats));
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      throw new RpcError(RPC.failed, messageOf(error), { code: error.code });
    }
  }

  /** Logs and answers what a connection ends of. No other client may be affected. */
  async #complain({ channel, peer }: Client, error: unknown): Promise<void> {
    const about = { pid: peer.pid, uid: peer.uid, error: messageOf(error) };
    if (error instanceof ChannelClosed) return this.log.debug("closed a silent client", about);
    if (error instanceof SystemError) return this.log.debug("lost a client", about);
    const answer = lastAnswer(error, peer);
    if (answer === undefined) return this.log.error("failed to serve a client", about);
    this.clients.counters.errors++;
    this.#repeats.warn(complaintAbout(error), about);
    await channel.send(answer, [], ACCEPT_PAUSE).catch(() => {});
  }

  /** @returns whether there is room for one more */
  #dropIdlest(): boolean {
    const client = this.clients.removeIdlest();
    if (client === undefined) return false;
    const { pid, uid } = client.peer;
    this.#repeats.warn("too many clients, closed the longest silent one", { pid, uid });
    this.#shares.dismiss(client);
    return true;
  }
}

/** Makes the kernel refuse descriptors from a client who is not served. One who is served is told why by an answer. */
function stopFds(fd: Fd): void {
  try {
    setOption(fd, SOL_SOCKET, SO_PASSRIGHTS, 0);
  } catch (error) {
    // ENOPROTOOPT before Linux 6.16, and perhaps not even that where system calls are filtered.
    if (!(error instanceof SystemError)) throw error;
  }
}
