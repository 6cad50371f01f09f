/** The listening sockets of a wrapper: from a binder, or its own when there is none. */

import type { Fd } from "../../ffi/fd.ts";
import type { Poller } from "../../ffi/poll.ts";
import {
  formatAddress,
  formerMeaning,
  hasFile,
  joinParts,
  numericAddress,
  resolveAddress,
  toParts,
} from "../sockets/address.ts";
import { ControlClient, DEFAULT_SOCK } from "../control/client.ts";
import { isAbsent, NoBinderError, RefusedError } from "../control/client_errors.ts";
import { BindError, namingHolder } from "../sockets/bind_error.ts";
import { DEFAULT_BACKLOG, listeningAddress } from "../sockets/listen.ts";
import type { Log } from "../log.ts";
import type { BindParam } from "../control/messages.ts";
import type { Held } from "../sockets/held.ts";
import { Registry } from "../sockets/registry.ts";
import { type Wanted, wantedOf } from "../sockets/wanted.ts";
import type { WrapperReport } from "../control/reports.ts";
import { fileId } from "../sockets/place.ts";
import { leadsTo } from "../sockets/unix_path.ts";
import { BinderLink, type HeldSocket } from "./binder_link.ts";

/**
 * The sockets of the config that is served, and those of the one that is to replace it. They are kept as
 * long as it is served: HAProxy can be started again with them even while the binder is away.
 */
export interface Sockets {
  /**
   * The binder's control socket, and whether it is there; `handsBack` where it takes no sockets back from this
   * user. Null without a binder.
   */
  readonly binder: { sock: string; connected: boolean; handsBack?: false } | null;
  /** The sockets of the config that is served. */
  readonly served: readonly HeldSocket[];
  /**
   * Gets the sockets for a new config, all or none.
   * @returns one a param, in their order, to be lent to children; they stay this object's
   */
  prepare(params: readonly BindParam[]): Promise<Fd[]>;
  /** The new config is served: gives up the sockets that only the one before it named. */
  commit(): void;
  /** The new config failed: gives up the sockets that only it named. */
  rollback(): void;
  /** Takes over sockets that an earlier program served with. */
  restore(sockets: readonly HeldSocket[]): Promise<void>;
  /** Tells the binder, if there is one, how this wrapper does. */
  tell(report: WrapperReport): void;
  /** The server is told to stop: gives up those that nobody would accept from any more. */
  stop(): void;
  /** Gives up all of them. The servers have copies of their own. */
  close(): void;
}

/** Where sockets come from. */
export interface SocketsOptions {
  /** The binder's control socket, if one was named; null for no binder at all. */
  sock: string | null | undefined;
  /** The binder's user, when that is neither root nor our own. */
  binderUid?: number | undefined;
  /** Milliseconds to wait for that binder. */
  wait: number;
  /** Whether this process stays, and hands its sockets back should the binder die. */
  lasting: boolean;
}

/**
 * Chooses where sockets come from: the binder that was named, or none, as was said; else one at the
 * default path, else this process itself.
 * @param defaultSock the default path
 * @throws {UserError} when there is one at the default path that cannot be used
 */
export function chooseSockets(
  options: SocketsOptions,
  poller: Poller,
  log: Log,
  defaultSock: string = DEFAULT_SOCK,
): Sockets {
  if (options.sock === null) return new OwnSockets();
  if (options.sock !== undefined) return new BinderSockets(options.sock, options, poller, log);
  try {
    ControlClient.connect(defaultSock, poller).close();
    return new BinderSockets(defaultSock, options, poller, log);
  } catch (error) {
    if (!isAbsent(error)) throw error;
    return new OwnSockets(() =>
      log.info(`no binder at ${defaultSock}: this process binds the listening sockets itself`)
    );
  }
}

type SocketMap = ReadonlyMap<string, HeldSocket>;

/** Sockets of a binder. It is asked anew for each config, since it may hold others after a restart. */
class BinderSockets implements Sockets {
  /** By address as the config has it. */
  #served: SocketMap = new Map();
  #candidate: SocketMap = new Map();
  readonly #wait: number;
  readonly #link: BinderLink;

  constructor(readonly sock: string, options: SocketsOptions, poller: Poller, readonly log: Log) {
    this.#wait = options.wait;
    const held = options.lasting ? () => this.served : undefined;
    this.#link = new BinderLink({ path: sock, uid: options.binderUid }, poller, log, held);
  }

  get binder(): { sock: string; connected: boolean; handsBack?: false } {
    const { connected, handsBack } = this.#link;
    return { sock: this.sock, connected, ...!handsBack && { handsBack } };
  }

  get served(): HeldSocket[] {
    return [...this.#served.values()];
  }

  async prepare(params: readonly BindParam[]): Promise<Fd[]> {
    // One address named twice is asked for once: HAProxy gets two descriptors of the one socket.
    const keyed = params.map((param) => ({ key: keyOf(param), param }));
    const unique = new Map<string, BindParam>();
    for (const { key, param } of keyed) {
      const other = unique.get(key);
      const longer = !other || (param.backlog ?? 0) > (other.backlog ?? 0) ? param : other;
      const options = { ...other?.options, ...param.options };
      unique.set(key, Object.keys(options).length > 0 ? { ...longer, options } : longer);
    }
    try {
      // At the first start a binder that is not there yet is waited for. A reload can do without one, as long
      // as this process has copies of its sockets.
      const wait = this.#served.size === 0 ? this.#wait : 0;
      this.#candidate = await this.#ask(unique, wait);
    } catch (error) {
      if (!(error instanceof NoBinderError || error instanceof RefusedError)) throw error;
      // What is held is not what the config asks for.
      const isOfOptions = ["EBUSY", "EPERM", "ENOPROTOOPT"].includes(codeOf(error));
      if (error instanceof RefusedError && isOfOptions) throw error;
      // What is held needs no binder. Of one that is there, the rest can still be had.
      const unknown = new Map([...unique].filter(([key]) => !this.#served.has(key)));
      const asksTheRest = error instanceof RefusedError && unknown.size < unique.size;
      if (unknown.size > 0 && !asksTheRest) throw error;
      const rest: SocketMap = unknown.size > 0 ? await this.#ask(unknown, 0) : new Map();
      this.log.warn("going on with the sockets held so far", { reason: error.message });
      const held = [...this.#served].filter(([key]) => unique.has(key));
      this.#candidate = new Map([...held, ...rest]);
    }
    return keyed.flatMap(({ key }) => this.#candidate.get(key)?.fd ?? []);
  }

  /** Asks the binder for sockets, all or none. */
  async #ask(wanted: ReadonlyMap<string, BindParam>, wait: number): Promise<SocketMap> {
    const fds = await this.#link.bind([...wanted.values()], wait);
    return new Map(
      [...wanted].flatMap(([key, param], index) => {
        const fd = fds[index];
        return fd ? [[key, { param, fd }]] : [];
      }),
    );
  }

  commit(): void {
    const before = this.#served;
    this.#served = this.#candidate;
    this.#candidate = new Map();
    closeAllBut(before, this.#served);
    void this.#link.refresh();
  }

  rollback(): void {
    closeAllBut(this.#candidate, this.#served);
    this.#candidate = new Map();
  }

  restore(sockets: readonly HeldSocket[]): Promise<void> {
    this.#served = byKey(sockets);
    this.#link.keepTrying();
    return Promise.resolve();
  }

  tell(report: WrapperReport): void {
    this.#link.tell(report);
  }

  /** The binder's sockets stay: another server may accept from them. */
  stop(): void {}

  close(): void {
    this.#link.close();
    this.rollback();
    closeAllBut(this.#served, new Map());
  }
}

/** Sockets bound by this process. */
class OwnSockets implements Sockets {
  readonly binder = null;
  readonly #registry = new Registry(DEFAULT_BACKLOG);
  #served = new Set<Held>();
  #candidate = new Set<Held>();
  #announce: (() => void) | undefined;

  /** @param announce called once, before the first socket is bound */
  constructor(announce?: () => void) {
    this.#announce = announce;
  }

  get served(): HeldSocket[] {
    return [...this.#served].map(({ address, backlog, fd }) => {
      return { param: { ...toParts(address), backlog }, fd };
    });
  }

  async prepare(params: readonly BindParam[]): Promise<Fd[]> {
    const wanted: Wanted[] = [];
    for (const parts of params) {
      const found = resolveAddress(parts);
      wanted.push(wantedOf(found instanceof Promise ? await found : found, parts));
    }
    if (wanted.length > 0) {
      this.#announce?.();
      this.#announce = undefined;
    }
    const held = await this.#bind(wanted);
    this.#candidate = new Set(held);
    return held.map(({ fd }) => fd);
  }

  async #bind(wanted: readonly Wanted[]): Promise<Held[]> {
    try {
      return this.#registry.bind(wanted);
    } catch (error) {
      throw error instanceof BindError ? await namingHolder(error) : error;
    }
  }

  commit(): void {
    this.#served = this.#candidate;
    this.#registry.closeExcept(this.#served);
  }

  rollback(): void {
    this.#registry.closeExcept(this.#served);
  }

  async restore(sockets: readonly HeldSocket[]): Promise<void> {
    for (const { param: { backlog = DEFAULT_BACKLOG, ...parts }, fd } of sockets) {
      // A star has meant another address once: the socket tells which.
      const address = formerMeaning(parts) && listeningAddress(fd) || await resolveAddress(parts);
      // What lies at the path by now may be another's, and is not to be removed.
      const isOurs = hasFile(address) && leadsTo(address.path, fd);
      const file = isOurs ? fileId(address.path) : undefined;
      this.#registry.add({ address, fd, backlog, since: Date.now(), ...(file && { file }) });
    }
    this.#served = new Set(this.#registry.list());
  }

  tell(): void {}

  /** Nobody else has them: their clients are to be refused, and not to wait for nothing. */
  stop(): void {
    this.close();
  }

  close(): void {
    this.#served = new Set();
    this.#registry.close();
  }
}

function codeOf(error: NoBinderError | RefusedError): string {
  return error instanceof RefusedError ? error.data?.code ?? "" : error.code;
}

/** One key for one address, but for a host name: what that means is the binder's to say. */
function keyOf(param: BindParam): string {
  const address = numericAddress(param);
  return address === undefined ? joinParts(param) : formatAddress(address);
}

function byKey(sockets: readonly HeldSocket[]): SocketMap {
  return new Map(sockets.map((socket) => [keyOf(socket.param), socket]));
}

function closeAllBut(sockets: SocketMap, kept: SocketMap): void {
  const spared = new Set([...kept.values()].map(({ fd }) => fd));
  sockets.forEach(({ fd }) => spared.has(fd) || fd.close());
}
