/** The client of a control socket, for the library, the wrapper and the commands. */

import { POLLRDHUP } from "../../ffi/constants.ts";
import { SystemError } from "../../ffi/errno.ts";
import { Fd } from "../../ffi/fd.ts";
import { Poller } from "../../ffi/poll.ts";
import { fdLimit, raiseFdLimit } from "../../ffi/rlimit.ts";
import { MAX_UNIX_PATH } from "../../ffi/sockaddr.ts";
import { effectiveUid } from "../../ffi/process.ts";
import { discard } from "../../ffi/discard.ts";
import { connectUnix, type Credentials, peerCredentials } from "../../ffi/socket.ts";
import { messageOf, UserError } from "../errors.ts";
import { joinParts } from "../sockets/address.ts";
import { Channel, ChannelClosed } from "./channel.ts";
import { NoBinderError, RefusedError, unreachable } from "./client_errors.ts";
import { mismatch } from "./grant.ts";
import { type Answer, type BindParam, parseAnswer, RPC } from "./messages.ts";
import { type ExpectedPeer, PEERS } from "./expected_peer.ts";

/** Where a binder listens when nothing else is said. */
export const DEFAULT_SOCK = "/run/multibinder.sock";

/** How long an answer may take, in milliseconds. */
const ANSWER_TIMEOUT = 10_000;

/** Bytes of an answer: ten thousand sockets are some 2 MiB of metrics. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/** As whom the kernel shows a user that is not known in our user namespace (user_namespaces(7)). */
const OVERFLOW_UID = 65534;

interface RequestOptions {
  /** Descriptors to send along; they stay the caller's. */
  fds?: readonly Fd[];
  /** How many descriptors may come with the answer. */
  expected?: number;
}

interface Outcome {
  result: unknown;
  fds: Fd[];
}

let sharedPoller: Poller | undefined;

/** A connection to a control socket, a binder's or a wrapper's. */
export class ControlClient implements Disposable {
  #lastId = 0;
  #lastRequest: Promise<unknown> = Promise.resolve();

  private constructor(
    readonly path: string,
    readonly channel: Channel,
    readonly timeout: number,
    readonly peer: ExpectedPeer,
    /** Who answers, as the kernel has it: who made the control socket listen. */
    readonly answering: Credentials,
  ) {}

  /**
   * Connects.
   * @param path of the control socket, or `@` and a name in the abstract namespace
   * @param poller the program's own, if it has one; connections share one otherwise
   * @param timeout milliseconds that an answer may take
   * @param peer who is meant to be there, for the messages of errors, and as whom it may run
   * @throws {NoBinderError}
   */
  static connect(
    path: string,
    poller: Poller = sharedPoller ??= new Poller(),
    timeout: number = ANSWER_TIMEOUT,
    peer: ExpectedPeer = PEERS.binder,
  ): ControlClient {
    const length = new TextEncoder().encode(path).length;
    if (length > MAX_UNIX_PATH) {
      const why = `the path has ${length} bytes, and a UNIX socket's has at most ${MAX_UNIX_PATH}`;
      throw new NoBinderError(path, "ENAMETOOLONG", `${peer.nobody} at ${path}: ${why}`);
    }
    try {
      using fd = connectUnix(path.replace(/^@/, "\0"));
      const answering = peerCredentials(fd);
      const channel = new Channel(new Fd(fd.release()), poller, undefined, MAX_ANSWER_BYTES);
      const client = new ControlClient(path, channel, timeout, peer, answering);
      if (!client.#isTrusted) channel.guardFds();
      return client;
    } catch (error) {
      throw error instanceof SystemError ? unreachable(path, error, peer) : error;
    }
  }

  /**
   * Asks for listening sockets, all or none. The original multibinder reads only the first address of a
   * request: it is asked for the others one by one.
   * @param params the addresses
   * @returns one socket an address, in their order; close-on-exec, the caller's
   * @throws {RefusedError} when the binder refuses or fails to bind one
   * @throws {NoBinderError} when somebody else answers than the binder, or it goes away, is silent for too
   *   long, or is no binder; the connection is of no use then
   * @throws {UserError} when what it sends are not the sockets that were asked for
   */
  async bind(params: readonly BindParam[]): Promise<Fd[]> {
    if (params.length === 0) return [];
    this.#insistOnBinder();
    if (BigInt(params.length) >= fdLimit().soft / 2n) raiseFdLimit();
    const { fds, result } = await this.#request("bind", params, { expected: params.length });
    try {
      if (result === true && fds.length === 1) {
        for (const param of params.slice(1)) {
          fds.push(...(await this.#request("bind", [param], { expected: 1 })).fds);
        }
      }
      this.#insistOnSockets(fds, params);
      return fds;
    } catch (error) {
      fds.forEach(discard);
      throw error;
    }
  }

  /**
   * Hands back sockets that an earlier binder has given out, or just says which ones this process has. The
   * binder lets the connection last from then on, be it silent or not.
   * @param params the addresses
   * @param fds one an address; they stay the caller's
   * @returns for each `adopted`, `held`, or `refused: ` and why
   * @throws {RefusedError} when this user may not
   * @throws {NoBinderError} as {@link bind}
   */
  async adopt(params: readonly BindParam[], fds: readonly Fd[]): Promise<string[]> {
    this.#insistOnBinder();
    const { result } = await this.#request("adopt", params, { fds });
    return Array.isArray(result) ? result.map(String) : [];
  }

  /**
   * Waits until the binder closes the connection, or {@link close} is called, and the requests under way
   * have failed of that.
   */
  async gone(): Promise<void> {
    await this.channel.poller.wait(this.channel.fd, POLLRDHUP);
    await this.#lastRequest;
  }

  /** Closes the connection. A stranger may have put descriptors into it whose close never ends. */
  close(): void {
    if (this.#isTrusted) this.channel.close();
    else this.channel.dismiss();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Makes a request that carries no descriptors.
   * @returns its result
   * @throws {RefusedError} when it is answered with an error
   * @throws {NoBinderError} when the connection ends or nothing comes in time
   */
  async call(method: string, params: unknown): Promise<unknown> {
    return (await this.#request(method, params)).result;
  }

  /** Whether root, our own user, or the one that was named as the peer's answers. */
  get #isTrusted(): boolean {
    return [0, effectiveUid(), this.peer.uid].includes(this.answering.uid);
  }

  /** Whoever listens at the path could take our sockets, and give us others to serve. */
  #insistOnBinder(): void {
    if (this.#isTrusted) return;
    const { pid, uid } = this.answering;
    const unknown = uid === OVERFLOW_UID
      ? " (the kernel also shows a user so whom this container's user namespace does not know)"
      : "";
    throw new NoBinderError(
      this.path,
      "EPERM",
      `uid ${uid}${unknown} answers at ${this.path}${
        pid > 0 ? `, as pid ${pid}` : ""
      }: neither root ` +
        "nor this user, so it is asked for nothing and gets nothing; if the binder runs as that user, " +
        `--binder-uid ${uid} or MULTIBINDER_BINDER_UID=${uid} says so`,
    );
  }

  #insistOnSockets(fds: readonly Fd[], params: readonly BindParam[]): void {
    if (fds.length !== params.length) {
      throw new UserError(
        this.channel.truncated
          ? `cannot take ${params.length} sockets: the limit of ${fdLimit().soft} open files is ` +
            "reached; raise it with ulimit -n or LimitNOFILE="
          : `the binder at ${this.path} sent ${fds.length} sockets for ${params.length} addresses`,
      );
    }
    fds.forEach((fd, index) => {
      const param = params[index];
      const wrong = param && mismatch(fd, param);
      if (param === undefined || wrong === undefined) return;
      throw new UserError(
        `for ${joinParts(param)} the binder at ${this.path} sent ${wrong}; it is not used`,
      );
    });
  }

  /** Makes a request, after those before it were answered. */
  #request(method: string, params: unknown, options: RequestOptions = {}): Promise<Outcome> {
    const outcome = this.#lastRequest.then(async () => {
      const { fds = [], expected = 0 } = options;
      this.channel.maxFds = expected;
      const { error, result } = await this.#exchange({ method, id: ++this.#lastId, params }, fds);
      const received = this.channel.takeFds();
      if (error === undefined) return { result, fds: received };
      received.forEach(discard);
      const message = error.code === RPC.methodNotFound
        ? `${this.path} answers "${error.message}": ${this.peer.instead}`
        : error.message;
      throw new RefusedError(error.code, message, error.data);
    });
    this.#lastRequest = outcome.catch(() => {});
    return outcome;
  }

  async #exchange(request: object, fds: readonly Fd[]): Promise<Answer> {
    if (this.channel.fd.closed) {
      // The request before this one has failed.
      throw new NoBinderError(this.path, "ENOTCONN", `the connection to ${this.path} is closed`);
    }
    try {
      await this.channel.send(request, fds, this.timeout);
      const answer = await this.channel.receive(this.timeout);
      if (answer !== undefined) return parseAnswer(answer);
    } catch (error) {
      // An answer that comes late must not be taken for the next one.
      this.close();
      throw this.#failed(error);
    }
    this.close();
    const message = `${this.path} closed the connection without an answer`;
    throw new NoBinderError(this.path, "ECONNRESET", message);
  }

  #failed(error: unknown): NoBinderError {
    const { path, peer } = this;
    if (error instanceof ChannelClosed) {
      const message = `no answer from ${path} within ${this.timeout / 1000} s; ` +
        "what it was asked for may still be done";
      return new NoBinderError(path, "ETIMEDOUT", message, error);
    }
    if (error instanceof SystemError) {
      const message = `the connection to ${path} failed: ${error.message}`;
      return new NoBinderError(path, error.code, message, error);
    }
    const message = `what answers at ${path} ${peer.isNot}: ${messageOf(error)}`;
    return new NoBinderError(path, "EPROTO", message, error);
  }
}
