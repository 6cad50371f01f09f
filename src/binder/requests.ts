/** What clients may ask of a binder. */

import { discard } from "../../ffi/discard.ts";
import type { Fd } from "../../ffi/fd.ts";
import { acceptQueue, socketCookie } from "../../ffi/socket.ts";
import {
  type Address,
  type AddressParts,
  formatAddress,
  hasFile,
  numericAddress,
  resolveAddress,
  wholeOf,
} from "../sockets/address.ts";
import { messageOf, UserError } from "../errors.ts";
import { BindError, namingHolder } from "../sockets/bind_error.ts";
import { lackingOption } from "../sockets/kernel_options.ts";
import { makerOf } from "../sockets/listen.ts";
import type { Log } from "../log.ts";
import { type BindParam, parseBindParams, RPC, RpcError } from "../control/messages.ts";
import type { Caller, Handler, Reply } from "../control/handler.ts";
import { conform, type Held, type Registry, type Wanted, wantedOf } from "../sockets/registry.ts";
import type { SocketOptions } from "../sockets/socket_options.ts";
import { fileId } from "../sockets/place.ts";
import { wrapperReport } from "../process/state.ts";
import { giveTurn, Queue } from "../turns.ts";
import type { Access } from "./access.ts";
import { refusal } from "./handed_back.ts";
import type { Ledger } from "./ledger.ts";
import type { Listing } from "./listing.ts";
import type { Policy } from "./policy.ts";

/** What the requests work on. */
export interface Resources {
  registry: Registry;
  policy: Policy;
  log: Log;
  ledger: Ledger;
  listing: Listing;
  /** Who may do what is not for every client. */
  access: Pick<Access, "trusts" | "mayAdopt">;
  /** Told of each socket that is held from now on. */
  added: (held: Held) => void;
  /** Told of each address that was given up. */
  removed: (address: Address) => void;
  /** Whether a socket is the one that clients of the binder connect to. */
  isControl: (fd: Fd) => boolean;
  /** Why an address that is held cannot be given up; undefined when it can. */
  keptFor: (address: string) => string | undefined;
  /** For `status`. */
  describe: () => object | Promise<object>;
  /** For `metrics`. */
  metrics: () => Promise<string>;
  /** For `reload`. @returns what has changed */
  reload: () => Promise<string>;
  /** For `upgrade`: does not return when it succeeds. */
  upgrade: () => Promise<never>;
}

/**
 * How long after the start an address in use may turn out to be one that a client hands back, in
 * milliseconds: clients try to reach a binder again several times a second.
 */
const HAND_BACK_TIME = 5000;

/** Sockets that are bound without a turn for others; a longer batch is bound in pieces, one at a time. */
const AT_ONCE = 50;

/** Names of one user that wait to be looked up, or are. */
const MAX_LOOKUPS = 16;
/** Names of users who are not trusted that are looked up at once: there are four such turns in all. */
const LOOKUPS_AT_ONCE = 3;

/** Answers requests. */
export class Requests {
  readonly #started = performance.now();
  readonly #batches = new Queue(1);
  /** Look-ups that wait or are under way, by user. */
  readonly #lookUps = new Map<number, number>();
  readonly #names = new Queue(LOOKUPS_AT_ONCE);

  /** @param handBackTime as {@link HAND_BACK_TIME} */
  constructor(readonly resources: Resources, readonly handBackTime: number = HAND_BACK_TIME) {}

  /** Answers one request. */
  readonly handle: Handler = (request, caller) => {
    const trusted = this.resources.access.trusts(caller.peer.uid);
    switch (request.method) {
      case "bind":
        return this.#bind(parseBindParams(request.params), caller);
      case "adopt":
        return this.#adopt(request.params, caller);
      case "unbind":
        this.#insist(trusted, caller, "give addresses up");
        return this.#unbind(parseBindParams(request.params), caller);
      case "report":
        return this.#report(request.params, caller);
      case "sockets":
        return this.#sockets(request.params);
      case "status":
        return this.#status();
      case "metrics":
        return this.resources.metrics().then((result) => ({ result, fds: [] }));
      case "reload":
        this.#insist(trusted, caller, "make the binder read its config again");
        return this.#reload();
      case "upgrade":
        this.#insist(trusted, caller, "upgrade the binder");
        caller.oweAnswer();
        return this.resources.upgrade();
      default:
        throw new RpcError(RPC.methodNotFound, `Method not found: ${request.method.slice(0, 100)}`);
    }
  };

  /**
   * Finds or binds sockets. While clients of a binder before may still hand theirs back, an address in use
   * is waited for.
   * @param trusted whether it goes before those of others
   * @throws {BindError}
   */
  async hold(wanted: readonly Wanted[], trusted = true): Promise<Held[]> {
    const { registry, log } = this.resources;
    for (;;) {
      const left = this.#started + this.handBackTime - performance.now();
      try {
        return await this.#bindNew(wanted, trusted);
      } catch (error) {
        const inUse = error instanceof BindError && error.code === "EADDRINUSE";
        if (!inUse || error.lasts || error.wanted === undefined) throw error;
        // Who holds it is worth a search at the end alone: that takes long where many files are open.
        if (left <= 0) throw await namingHolder(error, giveTurn);
        log.debug("waiting for a client to hand an address back", { address: error.address });
        await registry.changed(left);
      }
    }
  }

  async #bindNew(wanted: readonly Wanted[], trusted: boolean): Promise<Held[]> {
    const { registry } = this.resources;
    for (let end = registry.unfinished(wanted); end; end = registry.unfinished(wanted)) await end;
    const isShort = wanted.length <= AT_ONCE;
    const { held, fresh } = isShort
      ? registry.bindNew(wanted)
      : await this.#batches.run(() => registry.bindInPieces(wanted, giveTurn), trusted);
    for (const one of fresh) {
      const { address, backlog } = one;
      this.resources.log.info("holding", { address: formatAddress(address), backlog });
      this.resources.added(one);
    }
    return held;
  }

  /** Notes what a wrapper tells of itself, for those who ask about sockets. */
  #report(params: unknown, caller: Caller): Promise<Reply> {
    try {
      if (caller.note(wrapperReport(params, "params"))) {
        return Promise.resolve({ result: true, fds: [] });
      }
    } catch (error) {
      throw new RpcError(RPC.invalidParams, `Invalid params: ${messageOf(error)}`);
    }
    throw new RpcError(RPC.failed, "only who has told by `adopt` what it holds may report");
  }

  async #sockets(params: unknown): Promise<Reply> {
    const from = Array.isArray(params) ? params[0] ?? 0 : undefined;
    if (!Number.isInteger(from) || from < 0) {
      throw new RpcError(
        RPC.invalidParams,
        "Invalid params: a list of where to begin, such as [0]",
      );
    }
    return { result: await this.resources.listing.page(from), fds: [] };
  }

  async #reload(): Promise<Reply> {
    try {
      return { result: await this.resources.reload(), fds: [] };
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      throw new RpcError(RPC.failed, `reload failed, all is as before: ${error.message}`);
    }
  }

  async #status(): Promise<Reply> {
    return { result: await this.resources.describe(), fds: [] };
  }

  async #bind(params: readonly BindParam[], caller: Caller): Promise<Reply> {
    const wanted = await this.#understand(params, caller.peer.uid);
    for (const one of wanted) {
      const held = this.resources.registry.findWanted(one);
      this.#permit(held?.address ?? one.address);
      if (one.options) this.#permitOptions(one.address, one.options, held, caller);
      await giveTurn();
    }
    const held = await this.#holdFor(wanted, this.resources.access.trusts(caller.peer.uid));
    const addresses = held.map(({ address }) => formatAddress(address));
    const { pid, uid } = caller.peer;
    held.forEach((one) => this.resources.ledger.lend(one, caller.peer));
    this.resources.log.debug("bind", { pid, uid, addresses: addresses.join(" ") });
    return {
      // The original's clients ask for one and test for true.
      result: addresses.length === 1 ? true : addresses,
      fds: held.map(({ fd }) => fd),
    };
  }

  /**
   * Takes sockets that the client got from a binder before, one descriptor an address. It tells for each
   * whether it was `adopted`, was `held` already, or why it was refused; and stays connected.
   */
  async #adopt(params: unknown, caller: Caller): Promise<Reply> {
    this.#insist(this.resources.access.mayAdopt(caller.peer.uid), caller, "hand sockets back");
    const fds = caller.takeFds();
    try {
      const isEmpty = Array.isArray(params) && params.length === 0;
      const wanted = await this.#understand(
        isEmpty ? [] : parseBindParams(params),
        caller.peer.uid,
      );
      if (fds.length !== wanted.length) {
        const counts = `${fds.length} sockets for ${wanted.length} addresses`;
        throw new RpcError(RPC.invalidParams, `Invalid params: ${counts}`);
      }
      const meant = wanted.map((one, index) => meaning(one, fds[index]));
      const outcomes = meant.map((one, index) => this.#adoptOne(one, fds, index, caller));
      caller.attach(meant.map(({ address }) => formatAddress(address)));
      return { result: outcomes, fds: [] };
    } finally {
      fds.forEach(discard);
    }
  }

  #adoptOne(
    { address, backlog, options = {} }: Wanted,
    fds: Reply["fds"],
    index: number,
    caller: Caller,
  ): string {
    const { registry, log } = this.resources;
    const text = formatAddress(address);
    const about = { address: text, pid: caller.peer.pid };
    const fd = fds[index];
    if (fd === undefined) return "refused: no descriptor";
    const why = this.resources.policy.allows(address)
      ? refusal(fd, address, options) ?? this.#strangeness(fd, caller) ?? this.#purpose(fd) ??
        this.#unfitness(fd, address, options)
      : "not allowed";
    if (why !== undefined) {
      log.warn("refused a socket handed back", { ...about, why });
      return `refused: ${why}`;
    }
    const held = registry.find(address);
    if (held) {
      if (socketCookie(held.fd) === socketCookie(fd)) return "held";
      log.warn("a client has another socket of an address held", about);
      return "refused: another socket is held for this address";
    }
    const file = hasFile(address) ? fileId(address.path) : undefined;
    const queue = address.transport === "tcp" ? acceptQueue(fd).limit : undefined;
    const adopted: Held = {
      address,
      fd: fd.duplicate(),
      backlog: backlog ?? queue ?? registry.defaultBacklog,
      since: Date.now(),
      ...(file && { file }),
    };
    registry.add(adopted);
    log.info("adopted", about);
    this.resources.added(adopted);
    return "adopted";
  }

  /** Closes sockets, all or none. Copies that servers have are theirs, and go on. */
  async #unbind(params: readonly BindParam[], { peer }: Caller): Promise<Reply> {
    const { registry, keptFor } = this.resources;
    const addresses = (await this.#understand(params, peer.uid))
      .map((one) => registry.findWanted(one)?.address ?? one.address);
    for (const address of addresses) {
      const text = formatAddress(address);
      const why = registry.find(address) ? keptFor(text) : "it is not held";
      if (why !== undefined) throw new RpcError(RPC.failed, `cannot give up ${text}: ${why}`);
    }
    addresses.forEach((address) => this.giveUp(address));
    return { result: addresses.map(formatAddress), fds: [] };
  }

  /** Closes a socket. */
  giveUp(address: Address): void {
    const { registry, removed, log } = this.resources;
    registry.release(address);
    removed(address);
    log.info("gave up", { address: formatAddress(address) });
  }

  async #understand(params: readonly BindParam[], uid: number): Promise<Wanted[]> {
    const wanted: Wanted[] = [];
    try {
      for (const parts of params) {
        wanted.push(wantedOf(numericAddress(parts) ?? await this.#lookUp(parts, uid), parts));
        await giveTurn();
      }
      return wanted;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      throw new RpcError(RPC.couldNotBind, `Could not bind: ${error.message}`);
    }
  }

  /** Looks a name up. Those of users who are not trusted take turns that leave room for the trusted. */
  async #lookUp(parts: AddressParts, uid: number): Promise<Address> {
    if (this.resources.access.trusts(uid)) return await resolveAddress(parts);
    const waiting = this.#lookUps.get(uid) ?? 0;
    if (waiting >= MAX_LOOKUPS) {
      const why = `uid ${uid} has ${waiting} names looked up already; try again later (EAGAIN)`;
      throw new RpcError(RPC.couldNotBind, `Could not bind: ${why}`, { code: "EAGAIN" });
    }
    this.#lookUps.set(uid, waiting + 1);
    try {
      return await this.#names.run(() => resolveAddress(parts));
    } finally {
      const left = (this.#lookUps.get(uid) ?? 1) - 1;
      if (left > 0) this.#lookUps.set(uid, left);
      else this.#lookUps.delete(uid);
    }
  }

  #permit(address: Address): void {
    const text = formatAddress(address);
    if (address.transport !== "unix" && address.port === 0) {
      throw new RpcError(RPC.couldNotBind, `Could not bind: ${text}: a client must name a port`);
    }
    if (this.resources.policy.allows(address)) return;
    throw new RpcError(
      RPC.couldNotBind,
      `Could not bind: ${text}: not allowed by this binder; it was started for other addresses ` +
        `(see --allow) (EACCES)`,
      { code: "EACCES", address: text },
    );
  }

  /** Options that get round others' firewalls and routes are not for everybody, nor is what others share. */
  #permitOptions(
    address: Address,
    options: SocketOptions,
    held: Held | undefined,
    { peer }: Caller,
  ): void {
    const { policy, access } = this.resources;
    if (access.trusts(peer.uid)) return;
    const forbidden = policy.forbidden(options);
    const changed = held && lackingOption(held.fd, held.address, options) ||
      held && hasFile(held.address) && (["mode", "user", "group"] as const)
          .find((name) => options[name] !== undefined);
    if (forbidden === undefined && !changed) return;
    const text = formatAddress(address);
    const why = forbidden
      ? `the option ${forbidden} is for root and this binder's user; --allow-option ${forbidden} would ` +
        "let every client ask for it"
      : `it is held, and only root and this binder's user may change its option ${changed}`;
    const data = { code: "EACCES", address: text };
    throw new RpcError(RPC.couldNotBind, `Could not bind: ${text}: ${why} (EACCES)`, data);
  }

  async #holdFor(wanted: readonly Wanted[], trusted: boolean): Promise<Held[]> {
    try {
      return await this.hold(wanted, trusted);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      const data = error instanceof BindError ? { code: error.code, address: error.address } : {};
      throw new RpcError(RPC.couldNotBind, `Could not bind: ${error.message}`, data);
    }
  }

  /** Why a socket cannot have the options that it is to have; it has them from now on if it can. */
  #unfitness(fd: Fd, address: Address, options: SocketOptions): string | undefined {
    const { registry } = this.resources;
    const isTwice = address !== wholeOf(address) &&
      registry.list().some((held) =>
        formatAddress(held.address) !== formatAddress(address) &&
        socketCookie(held.fd) === socketCookie(fd)
      );
    if (isTwice) return "it is held as another share of this address";
    try {
      conform({ fd, address, backlog: registry.defaultBacklog }, options);
      return undefined;
    } catch (error) {
      return messageOf(error);
    }
  }

  /** A socket that some other user has made could be shut down, or read, by that user at any time. */
  #strangeness(fd: Fd, { peer }: Caller): string | undefined {
    const { access } = this.resources;
    const maker = makerOf(fd);
    if (access.trusts(peer.uid) || access.trusts(maker)) return undefined;
    return `uid ${maker} has made it, and neither root nor this binder's user`;
  }

  #purpose(fd: Fd): string | undefined {
    return this.resources.isControl(fd) ? "it is this binder's control socket" : undefined;
  }

  #insist(isPermitted: boolean, { peer }: Caller, what: string): void {
    if (isPermitted) return;
    throw new RpcError(RPC.notPermitted, `Not permitted: uid ${peer.uid} may not ${what}`, {
      code: "EPERM",
    });
  }
}

/** What is meant by an address whose words have meant another one once: that which the socket has. */
function meaning(wanted: Wanted, fd: Fd | undefined): Wanted {
  const { former } = wanted;
  const isFormer = former && fd && refusal(fd, wanted.address) !== undefined &&
    refusal(fd, former) === undefined;
  return isFormer ? { ...wanted, address: former } : wanted;
}
