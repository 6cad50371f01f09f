/**
 * Watches the sockets held for what only a binder makes possible, and what goes unseen elsewhere: an address
 * that nobody serves while clients wait, a queue that is nearly full, connections that the kernel drops.
 *
 * Nobody serves an address when its queue has not become shorter for a while, and no process but those that
 * keep it for others is found to have the socket open. Where not all processes can be seen, as in a container,
 * the queue alone must do: a server that is merely slow takes one out now and then.
 * @module
 */

import { describeAge } from "../duration.ts";
import type { Fields, Log } from "../log.ts";
import type { Trouble } from "../control/reports.ts";
import { findHolders } from "../process/socket_holders.ts";
import { formatAddress } from "../sockets/address.ts";
import {
  type ListenerState,
  listenerState,
  readUnixQueues,
  socketInode,
} from "../sockets/listener_state.ts";
import type { Held } from "../sockets/held.ts";
import type { Registry } from "../sockets/registry.ts";
import { giveTurn } from "../turns.ts";
import { Nagging } from "./nagging.ts";
import { Rounds } from "./rounds.ts";

/** How full a queue may be. */
const FULL = 0.8;
/** Milliseconds between two looks, at most. */
const MAX_PAUSE = 2500;
/** Milliseconds after the last drop in which drops are still a trouble. */
const DROPS_TOLD = 60_000;
/** Milliseconds of work to search for who serves an address. */
const MAX_SEARCH = 500;

/** What is watched. */
export interface Watched {
  registry: Registry;
  log: Log;
  /** Processes that are likely to serve a socket: these are looked at first. */
  likely: (held: Held) => Iterable<number>;
  /** Milliseconds for which clients may wait at an address that nobody serves. */
  unservedAfter: number;
}

/** What is known of one socket. */
interface Watch {
  /** Since when its queue was not empty and has not become shorter, and how long it was. */
  waiting?: { since: number; length: number } | undefined;
  /** Some process was found to have it open nonetheless: until when no search is made again, and how long that is. */
  excused?: { until: number; pause: number } | undefined;
  drops: number | undefined;
  lastDrop: number;
  /** By kind; what is over is kept, too, as it may come back. */
  naggings: Map<Trouble["kind"], Nagging>;
}

/** See the module's description. */
export class Alarm {
  readonly #watches = new WeakMap<Held, Watch>();
  #troubles: readonly Trouble[] = [];

  /** When it looks. */
  readonly rounds: Rounds;

  constructor(readonly watched: Watched) {
    const { log, unservedAfter } = watched;
    this.rounds = new Rounds(() => this.look(), log, unservedAfter, MAX_PAUSE);
  }

  /** What is wrong now, as of the last look. */
  get troubles(): readonly Trouble[] {
    return this.#troubles;
  }

  /** Looks at every socket once. @param now milliseconds since 1970 */
  async look(now: number = Date.now()): Promise<void> {
    const all = this.watched.registry.list();
    const unix = await readUnixQueues(all, giveTurn);
    const suspects: Held[] = [];
    for (const held of all) {
      // This mends a socket that a client has made useless, if that can be done.
      if (held.fd.closed || !this.watched.registry.serves(held)) continue;
      const state = listenerState(held, unix);
      if (this.#note(held, state, now)) suspects.push(held);
      await giveTurn();
    }
    if (suspects.length > 0) await this.#search(suspects, now);
    this.#troubles = all.flatMap((held) => held.fd.closed ? [] : this.#troublesOf(held));
  }

  /** @returns whether it is to be found out who serves the socket */
  #note(held: Held, state: ListenerState, now: number): boolean {
    const watch = this.#watchOf(held);
    this.#noteFullness(held, watch, state, now);
    this.#noteDrops(held, watch, state, now);
    const length = state.queue ?? 0;
    const { waiting } = watch;
    if (length === 0 || waiting === undefined || length < waiting.length) {
      watch.waiting = length === 0 ? undefined : { since: now, length };
      watch.excused = undefined;
      this.#end(held, watch, "unserved");
      return false;
    }
    waiting.length = length;
    const isLate = now - waiting.since >= this.watched.unservedAfter;
    if (!isLate || now < (watch.excused?.until ?? 0)) return false;
    return true;
  }

  async #search(suspects: readonly Held[], now: number): Promise<void> {
    const { likely } = this.watched;
    const { byInode, complete } = await findHolders(
      suspects.map(({ fd }) => socketInode(fd)),
      {
        first: new Set(suspects.flatMap((held) => [...likely(held)])),
        skip: new Set([Deno.pid]),
        pause: giveTurn,
        maxWork: MAX_SEARCH,
      },
    );
    for (const held of suspects) {
      const watch = this.#watchOf(held);
      if (held.fd.closed || watch.waiting === undefined) continue;
      if (byInode.has(socketInode(held.fd))) {
        const pause = Math.min(2 * (watch.excused?.pause ?? this.watched.unservedAfter), 300_000);
        watch.excused = { until: now + pause, pause };
        this.#end(held, watch, "unserved");
        continue;
      }
      const { length, since } = watch.waiting;
      const age = describeAge(now - since);
      const what = held.address.transport === "udp"
        ? `${length} bytes wait`
        : length === 1
        ? "1 connection waits"
        : `${length} connections wait`;
      const message = complete
        ? `nobody serves the address: ${what}, for ${age}`
        : `nobody is seen to serve the address: ${what}, and the queue was not shortened for ${age}`;
      this.#begin(held, watch, "unserved", now, message, { waiting: length });
    }
  }

  #noteFullness(held: Held, watch: Watch, { queue, limit }: ListenerState, now: number): void {
    if (queue === null || limit === null || queue <= FULL * limit) {
      return this.#end(held, watch, "queue");
    }
    const unit = held.address.transport === "udp" ? "bytes" : "connections";
    const message = `the queue is nearly full: ${queue} of ${limit} ${unit} wait`;
    this.#begin(held, watch, "queue", now, message, { queue, limit });
  }

  #noteDrops(held: Held, watch: Watch, { drops }: ListenerState, now: number): void {
    if (drops === null) return;
    const before = watch.drops ?? drops;
    // Another socket may have been bound in the place of one that served nobody, and counts from 0.
    const more = drops < before ? drops : drops - before;
    watch.drops = drops;
    if (more > 0) watch.lastDrop = now;
    const nagging = watch.naggings.get("drops");
    if (more > 0 || nagging?.isOn && now - watch.lastDrop < DROPS_TOLD) {
      const since = (nagging?.isOn ? nagging.amount : 0) + more;
      const unit = held.address.transport === "udp" ? "datagram" : "connection";
      const message = `the kernel has dropped ${since} ${unit}${since === 1 ? "" : "s"}`;
      this.#begin(held, watch, "drops", now, message, { drops: since }, since);
    } else this.#end(held, watch, "drops");
  }

  #begin(
    held: Held,
    watch: Watch,
    kind: Trouble["kind"],
    now: number,
    message: string,
    fields: Fields,
    amount = 0,
  ): void {
    let nagging = watch.naggings.get(kind);
    if (nagging === undefined) watch.naggings.set(kind, nagging = new Nagging());
    if (nagging.raise(now, message, amount)) {
      this.watched.log.warn(message, { address: formatAddress(held.address), ...fields });
    }
  }

  #end(held: Held, watch: Watch, kind: Trouble["kind"]): void {
    if (!watch.naggings.get(kind)?.settle()) return;
    const over = {
      unserved: "the address is served again",
      queue: "the queue has room again",
      drops: "the kernel drops nothing more",
    }[kind];
    this.watched.log.info(over, { address: formatAddress(held.address) });
  }

  #watchOf(held: Held): Watch {
    let watch = this.#watches.get(held);
    if (watch === undefined) {
      watch = { drops: undefined, lastDrop: 0, naggings: new Map() };
      this.#watches.set(held, watch);
    }
    return watch;
  }

  #troublesOf(held: Held): Trouble[] {
    const { naggings } = this.#watchOf(held);
    if (naggings.size === 0) return [];
    const address = formatAddress(held.address);
    return [...naggings].flatMap(([kind, { isOn, since, message }]) =>
      isOn ? [{ address, kind, since, message: `${address}: ${message}` }] : []
    );
  }
}
