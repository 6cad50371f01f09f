/**
 * Gives up sockets that nothing uses any more: no command line, unit or wrapper names the address, nobody has
 * asked for it for a while, and no process has the socket open. With the last copy the kernel closes the queue:
 * who waits in it is refused (TCP: reset).
 *
 * A server that has its socket from a client that has ended is known by its descriptor alone. Where not every
 * process can be seen, as in a container, nothing is given up.
 * @module
 */

import type { Fields, Log } from "../log.ts";
import { findHolders } from "../process/socket_holders.ts";
import { describeDuration } from "../duration.ts";
import { formatAddress } from "../sockets/address.ts";
import { listenerState, readUnixQueues, socketInode } from "../sockets/listener_state.ts";
import type { Held } from "../sockets/held.ts";
import type { Registry } from "../sockets/registry.ts";
import { giveTurn } from "../turns.ts";
import type { Ledger } from "./ledger.ts";
import { Rounds } from "./rounds.ts";

/** Milliseconds between two looks, at most. */
const MAX_PAUSE = 60_000;
/** Milliseconds of work to search for who has the sockets. */
const MAX_SEARCH = 1000;

/** What is looked after. */
export interface UnusedOptions {
  registry: Registry;
  ledger: Ledger;
  log: Log;
  /** Milliseconds without use after which a socket is given up. */
  after: number;
  /** Whether a command line, a unit or a wrapper names an address. */
  isNamed: (address: string) => boolean;
  /** Gives a socket up. @param fields for the log */
  giveUp: (held: Held, fields: Fields) => void;
}

/** See the module's description. */
export class Unused {
  /** When a socket was last seen to be in use, in milliseconds since 1970. */
  readonly #used = new WeakMap<Held, number>();
  /** A successor does not know when its predecessor has seen a socket in use. */
  readonly #begun = Date.now();
  #hasWarned = false;

  /** When it looks. */
  readonly rounds: Rounds;

  constructor(readonly options: UnusedOptions) {
    this.rounds = new Rounds(() => this.look(), options.log, options.after, MAX_PAUSE);
  }

  /** Looks at every socket once. @param now milliseconds since 1970 */
  async look(now: number = Date.now()): Promise<void> {
    const { registry, after } = this.options;
    const unnamed: Held[] = [];
    for (const held of registry.list()) {
      if (this.#isNamed(held)) this.#used.set(held, now);
      else unnamed.push(held);
      await giveTurn();
    }
    const inodes = unnamed.filter(({ fd }) => !fd.closed).map(({ fd }) => socketInode(fd));
    if (inodes.length === 0) return;
    const { byInode, complete } = await findHolders(inodes, {
      first: [],
      skip: new Set([Deno.pid]),
      pause: giveTurn,
      maxWork: MAX_SEARCH,
    });
    // A server may be away for a moment: what counts is when one was last seen.
    for (const held of unnamed) {
      if (!held.fd.closed && byInode.has(socketInode(held.fd))) this.#used.set(held, now);
    }
    const idle = unnamed.filter((held) => now - this.#lastUse(held) >= after);
    if (idle.length === 0) return;
    if (!complete) return this.#warnOfBlindness();
    const unix = await readUnixQueues(idle, giveTurn);
    // Meanwhile somebody may have asked for one.
    for (const held of idle.filter((one) => now - this.#lastUse(one) >= after)) {
      if (held.fd.closed || this.#isNamed(held)) continue;
      const { queue } = listenerState(held, unix);
      const unused = describeDuration(now - this.#lastUse(held));
      this.options.giveUp(held, { unused, ...(queue !== null && { waiting: queue }) });
    }
  }

  #isNamed(held: Held): boolean {
    return this.options.isNamed(formatAddress(held.address));
  }

  #lastUse(held: Held): number {
    const lent = this.options.ledger.of(held)[0]?.last ?? 0;
    return Math.max(this.#begun, held.since, lent, this.#used.get(held) ?? 0);
  }

  #warnOfBlindness(): void {
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    this.options.log.warn(
      "keeping sockets that nothing seems to use: not every process can be seen from here, and one may serve them",
    );
  }
}
