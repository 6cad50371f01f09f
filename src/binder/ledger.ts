/** To whom each socket was handed out. */

import type { Peer } from "../control/handler.ts";
import type { Held } from "../sockets/held.ts";

/** Who was handed a socket: one process. */
export interface Lending {
  /** As the binder sees it; 0 for one that its container cannot see. */
  pid: number;
  uid: number;
  /** How often. */
  count: number;
  /** The last time, in milliseconds since 1970. */
  last: number;
}

/** Processes that are remembered of each socket: clients that ask and end must not fill the memory. */
const REMEMBERED = 8;

/** See the module's description. */
export class Ledger {
  readonly #lent = new WeakMap<Held, Lending[]>();

  /** Notes that a client gets a socket. */
  lend(held: Held, { pid, uid }: Pick<Peer, "pid" | "uid">, now: number = Date.now()): void {
    const lent = this.#lent.get(held) ?? [];
    const before = lent.find((one) => one.pid === pid && one.uid === uid);
    const others = lent.filter((one) => one !== before).slice(0, REMEMBERED - 1);
    this.#lent.set(held, [{ pid, uid, count: (before?.count ?? 0) + 1, last: now }, ...others]);
  }

  /** Who was handed a socket, the latest first. */
  of(held: Held): readonly Lending[] {
    return this.#lent.get(held) ?? [];
  }

  /** The processes that were: they may well serve it. */
  pids(held: Held): number[] {
    return this.of(held).map(({ pid }) => pid);
  }

  /** Goes on with what an earlier program has noted. */
  restore(held: Held, lent: readonly Lending[]): void {
    if (lent.length > 0) this.#lent.set(held, lent.slice(0, REMEMBERED));
  }
}
