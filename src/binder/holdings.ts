/** The sockets that a binder holds: how it comes to hold one and how it gives one up, whoever asks for it. */

import { giveTurn, Queue } from "../turns.ts";
import type { Fields, Log } from "../log.ts";
import { commandOf } from "../proc.ts";
import type { Clients } from "../control/clients.ts";
import { type Address, formatAddress } from "../sockets/address.ts";
import { BindError, namingHolder } from "../sockets/bind_error.ts";
import type { Held } from "../sockets/held.ts";
import { makerOf } from "../sockets/listen.ts";
import type { Registry } from "../sockets/registry.ts";
import { type Holder, takeSockets } from "../sockets/taken_sockets.ts";
import type { Wanted } from "../sockets/wanted.ts";
import type { Trust } from "./lent_sockets.ts";
import type { OwnAddresses } from "./own_addresses.ts";
import type { Store } from "./store.ts";

/**
 * How long after the start an address in use may turn out to be one that a client hands back, in
 * milliseconds: clients try to reach a binder again several times a second.
 */
const HAND_BACK_TIME = 5000;

/** The same once connected clients were asked for what they hold. */
const ASKED_TIME = 2000;

/** Sockets that are bound without a turn for others; a longer batch is bound in pieces, one at a time. */
const AT_ONCE = 50;

/** What they depend on. */
export interface HoldingsParts {
  registry: Registry;
  store: Pick<Store, "keep" | "release">;
  own: Pick<OwnAddresses, "texts">;
  clients: Pick<Clients, "attached">;
  log: Log;
}

/** See the module's description. */
export class Holdings {
  #handBackEnd: number;
  readonly #batches = new Queue(1);

  /** @param handBackTime as {@link HAND_BACK_TIME} */
  constructor(readonly parts: HoldingsParts, handBackTime: number = HAND_BACK_TIME) {
    this.#handBackEnd = performance.now() + handBackTime;
  }

  /**
   * Finds or binds sockets. While clients of an earlier binder may still hand theirs back, this waits for an
   * address in use.
   * @param trusted whether a long batch goes before those of clients who are not trusted
   * @throws {BindError}
   */
  async hold(wanted: readonly Wanted[], trusted = true): Promise<Held[]> {
    const { registry, log } = this.parts;
    for (;;) {
      const left = this.#handBackEnd - performance.now();
      try {
        return await this.#bindNew(wanted, trusted);
      } catch (error) {
        const inUse = error instanceof BindError && error.code === "EADDRINUSE";
        if (!inUse || error.lasts || error.wanted === undefined) throw error;
        // Only at the end is it worth a search who holds it: that takes long where many files are open.
        if (left <= 0) throw await namingHolder(error, giveTurn);
        log.debug("waiting for a client to hand an address back", { address: error.address });
        await registry.changed(left);
      }
    }
  }

  /**
   * As {@link hold}, for addresses of the binder's own. If one is still in use in the end, by a server that was
   * lent its socket, the socket is taken back from that server.
   * @param askAgain makes connected clients hand back what they hold, and returns how many there are
   * @throws {UserError} for one that is not to be had, with what helps
   */
  async holdOwn(
    wanted: readonly Wanted[],
    trust: Trust,
    askAgain?: () => number,
  ): Promise<Held[]> {
    try {
      return await this.hold(wanted);
    } catch (error) {
      if (!(error instanceof BindError) || error.code !== "EADDRINUSE") throw error;
      if (!error.lasts && askAgain && askAgain() > 0) {
        this.#handBackEnd = performance.now() + ASKED_TIME;
        return await this.holdOwn(wanted, trust);
      }
      const { regainLent, withRemedy } = await import("./lent_sockets.ts");
      const missing = wanted.filter((one) => this.parts.registry.findWanted(one) === undefined);
      const regained = regainLent(missing, trust);
      if (regained.length === 0) throw error.lasts ? error : withRemedy(error);
      for (const { held, pid } of regained) {
        this.take(held, "took back from a server that was lent it", {
          pid,
          command: commandOf(pid),
        });
      }
      return await this.holdOwn(wanted, trust);
    }
  }

  async #bindNew(wanted: readonly Wanted[], trusted: boolean): Promise<Held[]> {
    const { registry } = this.parts;
    for (let end = registry.unfinished(wanted); end; end = registry.unfinished(wanted)) await end;
    const isShort = wanted.length <= AT_ONCE;
    const { held, fresh } = isShort
      ? registry.bindNew(wanted)
      : await this.#batches.run(() => registry.bindInPieces(wanted, giveTurn), trusted);
    for (const one of fresh) this.#added(one, "holding", { backlog: one.backlog });
    return held;
  }

  /** Copies the sockets of addresses that are not held yet out of a running process. */
  async takeRunning(wanted: readonly Wanted[], holder: Holder): Promise<void> {
    const missing = wanted.filter((one) => this.parts.registry.findWanted(one) === undefined);
    const taken = await takeSockets(missing.map(({ address }) => address), holder);
    for (const { held, pid, command } of taken) {
      const { backlog, fd } = held;
      this.take(held, "took over", { pid, command, uid: makerOf(fd), backlog });
    }
  }

  /** Holds a socket that is bound already. @param message what the log says of it */
  take(held: Held, message: string, fields: Fields): void {
    this.parts.registry.add(held);
    this.#added(held, message, fields);
  }

  #added(held: Held, message: string, fields: Fields): void {
    this.parts.log.info(message, { address: formatAddress(held.address), ...fields });
    this.parts.store.keep(held);
  }

  /** Closes a socket. @param message what the log says of it */
  giveUp(address: Address, message = "gave up", fields: Fields = {}): void {
    const { registry, store, log } = this.parts;
    registry.release(address);
    store.release(address);
    log.info(message, { address: formatAddress(address), ...fields });
  }

  /** Why an address, in its canonical form, would soon be held again if it were given up; undefined if it would not. */
  keptFor(text: string): string | undefined {
    const { clients, own } = this.parts;
    if (own.texts.includes(text)) {
      return "the command line or the config names it, so that the next start would take it again";
    }
    const holder = clients.attached.find(({ holds }) => holds.includes(text));
    return holder &&
      `the wrapper with pid ${holder.pid} uses it, and would have it bound again; stop that one first`;
  }
}
