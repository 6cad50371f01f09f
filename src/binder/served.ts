/**
 * Which sockets are served, for metrics: some process besides those that keep them has them open. A wrapper that
 * is connected tells of its generations; for all other sockets /proc is searched now and then.
 */

import type { AttachedClient } from "../control/clients.ts";
import { findHolders, type Holders } from "../process/socket_holders.ts";
import { formatAddress } from "../sockets/address.ts";
import { socketInode } from "../sockets/listener_state.ts";
import type { Held } from "../sockets/held.ts";
import { giveTurn } from "../turns.ts";

/** Milliseconds for which a search is taken for true. */
const FRESH = 10_000;
/** Milliseconds of work of one search. */
const MAX_SEARCH = 500;

/** Tells of a socket whether it is served; undefined where that cannot be seen. */
export type IsServed = (held: Pick<Held, "address" | "fd">) => boolean | undefined;

/** See the module's description. */
export class Served {
  #last: { at: number; inodes: ReadonlySet<number>; holders: Holders } | undefined;

  /** @param likely processes that may well serve a socket */
  constructor(readonly likely: (held: Held) => Iterable<number>) {}

  /** Looks at sockets. @param attached the wrappers that are connected */
  async look(sockets: readonly Held[], attached: readonly AttachedClient[]): Promise<IsServed> {
    const told = new Set(
      attached.filter(({ report }) => report?.generations.some(({ state }) => state === "serving"))
        .flatMap(({ holds }) => holds),
    );
    const others: Held[] = [];
    const inodes = new Set<number>();
    const isTold = (address: Held["address"]) => told.size > 0 && told.has(formatAddress(address));
    for (const held of sockets) {
      if (!held.fd.closed && !isTold(held.address)) {
        others.push(held);
        // The first time this is a system call; later it is known.
        inodes.add(socketInode(held.fd));
      }
      await giveTurn();
    }
    const holders = await this.#search(others, inodes);
    return ({ address, fd }) => {
      if (isTold(address)) return true;
      if (fd.closed) return undefined;
      if (holders.byInode.has(socketInode(fd))) return true;
      return holders.complete ? false : undefined;
    };
  }

  async #search(sockets: readonly Held[], inodes: ReadonlySet<number>): Promise<Holders> {
    const now = performance.now();
    const isFresh = this.#last !== undefined && now - this.#last.at < FRESH &&
      inodes.isSubsetOf(this.#last.inodes);
    if (this.#last === undefined || !isFresh) {
      const first = new Set<number>();
      for (const held of sockets) {
        for (const pid of this.likely(held)) first.add(pid);
        await giveTurn();
      }
      const skip = new Set([Deno.pid]);
      const search = { first, skip, pause: giveTurn, maxWork: MAX_SEARCH };
      this.#last = { at: now, inodes, holders: await findHolders(inodes, search) };
    }
    return this.#last.holders;
  }
}
