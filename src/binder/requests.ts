/** What clients may ask of a binder. */

import { discard } from "../../ffi/discard.ts";
import { type Address, formatAddress, hasFile, numericAddress } from "../sockets/address.ts";
import { messageOf, UserError } from "../errors.ts";
import type { Log } from "../log.ts";
import { BindError } from "../sockets/bind_error.ts";
import type { Held } from "../sockets/held.ts";
import { lackingOption } from "../sockets/kernel_options.ts";
import { type BindParam, parseBindParams, RPC, RpcError } from "../control/messages.ts";
import type { Caller, Handler, Reply } from "../control/handler.ts";
import type { SocketOptions } from "../sockets/socket_options.ts";
import { type Wanted, wantedOf } from "../sockets/wanted.ts";
import { wrapperReport } from "../process/state.ts";
import { giveTurn, Queue } from "../turns.ts";
import type { Access } from "./access.ts";
import { Adoption, type AdoptionParts, meaning } from "./adoption.ts";
import { LookUps } from "./look_ups.ts";
import type { View } from "./view.ts";

/** What the requests work on. */
export interface Resources extends AdoptionParts {
  log: Log;
  /** What the binder reports of itself. */
  view: Pick<View, "page" | "status" | "metricsText">;
  /** Who may do what is not for every client. */
  access: Pick<Access, "trusts" | "mayAdopt">;
  /** For `reload`. @returns what has changed */
  reload: () => Promise<string>;
  /** For `upgrade`: does not return when it succeeds. */
  upgrade: () => Promise<never>;
}

/**
 * Characters of a report as JSON, of who is not trusted: some hundred generations. All of them are in each `status`.
 */
const MAX_REPORT = 16_384;

/** Answers requests. */
export class Requests {
  readonly #adoption: Adoption;
  readonly #names = new LookUps();
  /** For all who are not trusted. */
  readonly #listings = new Queue(1);

  constructor(readonly resources: Resources) {
    this.#adoption = new Adoption(resources);
  }

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
        return this.#listing(trusted, () => this.#sockets(request.params));
      case "status":
        return this.#listing(trusted, () => answer(this.resources.view.status()));
      case "metrics":
        return this.#listing(trusted, () => answer(this.resources.view.metricsText()));
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

  /** Answers what takes work for every socket or wrapper. Those of clients who are not trusted wait for each other. */
  #listing(trusted: boolean, make: () => Promise<Reply>): Promise<Reply> {
    return trusted ? make() : this.#listings.run(make);
  }

  /** Notes what a wrapper reports of itself, for those who ask about sockets. */
  #report(params: unknown, caller: Caller): Promise<Reply> {
    try {
      const report = wrapperReport(params, "params");
      const isTooLong = !this.resources.access.trusts(caller.peer.uid) &&
        JSON.stringify(report).length > MAX_REPORT;
      if (isTooLong) throw new Error(`a report has at most ${MAX_REPORT} characters`);
      if (caller.note(report)) return answer(true);
    } catch (error) {
      throw new RpcError(RPC.invalidParams, `Invalid params: ${messageOf(error)}`);
    }
    throw new RpcError(
      RPC.failed,
      "only a client that has said by `adopt` what it holds may report",
    );
  }

  #sockets(params: unknown): Promise<Reply> {
    const from = Array.isArray(params) ? params[0] ?? 0 : undefined;
    if (!Number.isInteger(from) || from < 0) {
      throw new RpcError(
        RPC.invalidParams,
        "Invalid params: a list of where to begin, such as [0]",
      );
    }
    return answer(this.resources.view.page(from));
  }

  async #reload(): Promise<Reply> {
    try {
      return await answer(this.resources.reload());
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      throw new RpcError(RPC.failed, `reload failed, all is as before: ${error.message}`);
    }
  }

  async #bind(params: readonly BindParam[], caller: Caller): Promise<Reply> {
    const wanted = await this.#understand(params, caller.peer.uid);
    for (const one of wanted) {
      const held = this.#held(one);
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
   * Takes sockets that the client got from an earlier binder, one descriptor an address. The answer says of each
   * whether it was `adopted`, was `held` already, or why it was refused. The client stays connected.
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
      const meant = fds.map((fd, index) => ({ ...meaning(wanted[index] as Wanted, fd), fd }));
      // First of all, since this may be refused.
      caller.attach([]);
      const outcomes = meant.map(({ fd, ...one }) => this.#adoption.adopt(one, fd, caller));
      // A socket that was refused is none of this binder's.
      const held = meant.filter((_, index) => /^(adopted|held)$/.test(outcomes[index] ?? ""));
      caller.attach(held.map(({ address }) => formatAddress(address)));
      return { result: outcomes, fds: [] };
    } finally {
      fds.forEach(discard);
    }
  }

  /** Closes sockets, all or none. Copies that servers have are theirs, and go on. */
  async #unbind(params: readonly BindParam[], { peer }: Caller): Promise<Reply> {
    const { holdings } = this.resources;
    const addresses = (await this.#understand(params, peer.uid))
      .map((one) => this.#held(one)?.address ?? one.address);
    for (const address of addresses) {
      const text = formatAddress(address);
      const isHeld = holdings.parts.registry.holds(text);
      const why = isHeld ? holdings.keptFor(text) : "it is not held";
      if (why !== undefined) throw new RpcError(RPC.failed, `cannot give up ${text}: ${why}`);
    }
    addresses.forEach((address) => holdings.giveUp(address));
    return { result: addresses.map(formatAddress), fds: [] };
  }

  #held(wanted: Wanted): Held | undefined {
    return this.resources.holdings.parts.registry.findWanted(wanted);
  }

  async #understand(params: readonly BindParam[], uid: number): Promise<Wanted[]> {
    const wanted: Wanted[] = [];
    const trusted = this.resources.access.trusts(uid);
    try {
      for (const parts of params) {
        const address = numericAddress(parts) ?? await this.#names.resolve(parts, uid, trusted);
        wanted.push(wantedOf(address, parts));
        await giveTurn();
      }
      return wanted;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      throw new RpcError(RPC.couldNotBind, `Could not bind: ${error.message}`);
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

  /** Refuses strangers the options that get round firewalls and routes, and changes to a socket that others share. */
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
      return await this.resources.holdings.hold(wanted, trusted);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      const data = error instanceof BindError ? { code: error.code, address: error.address } : {};
      throw new RpcError(RPC.couldNotBind, `Could not bind: ${error.message}`, data);
    }
  }

  #insist(isPermitted: boolean, { peer }: Caller, what: string): void {
    if (isPermitted) return;
    throw new RpcError(RPC.notPermitted, `Not permitted: uid ${peer.uid} may not ${what}`, {
      code: "EPERM",
    });
  }
}

async function answer(result: unknown): Promise<Reply> {
  return { result: await result, fds: [] };
}
