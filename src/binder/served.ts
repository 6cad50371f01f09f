/**
 * Which sockets are served, for metrics: those that some process has open besides the ones that keep them. A
 * connected wrapper reports its generations; for all other sockets /proc is searched now and then.
 */

import type { AttachedClient } from "../control/clients.ts";
import { findHolders, type Holders } from "../process/socket_holders.ts";
import { formatAddress } from "../sockets/address.ts";
import { socketInode } from "../sockets/listener_state.ts";
import type { Held } from "../sockets/held.ts";
import { giveTurn } from "../turns.ts";

/** Milliseconds for which the result of a search is used. */
const FRESH = 10_000;
/** Milliseconds of work of one search. */
const MAX_SEARCH = 500;

/** Whether a socket is served; undefined where that cannot be seen. */
export type IsServed = (held: Pick<Held, "address" | "fd">) => boolean | undefined;

/** See the module's description. */
export class Served {
  #last: { at: number; inodes: ReadonlySet<number>; holders: Holders } | undefined;

  /** @param likely processes that are likely to serve a socket: these are looked at first */
  constructor(readonly likely: (held: Held) => Iterable<number>) {}

  /** Looks at sockets. @param attached the wrappers that are connected */
  async look(sockets: readonly Held[], attached: readonly AttachedClient[]): Promise<IsServed> {
    const reported = new Set(
      attached.filter(({ report }) => report?.generations.some(({ state }) => state === "serving"))
        .flatMap(({ holds }) => holds),
    );
    const others: Held[] = [];
    const inodes = new Set<number>();
    const isReported = (address: Held["address"]) =>
      reported.size > 0 && reported.has(formatAddress(address));
    for (const held of sockets) {
      if (!held.fd.closed && !isReported(held.address)) {
        others.push(held);
        // This is a system call the first time, and is remembered.
        inodes.add(socketInode(held.fd));
      }
      await giveTurn();
    }
    const holders = await this.#search(others, inodes);
    return ({ address, fd }) => {
      if (isReported(address)) return true;
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
