/** To whom each socket was handed out. */

import type { Peer } from "../control/handler.ts";
import type { Held } from "../sockets/held.ts";

/** Who was handed a socket: one process. */
export interface Lending {
  /** As the binder sees it; 0 for one that its container cannot see. */
  pid: number;
  uid: number;
  /** How often; 0 for one that has it from an earlier binder, and has handed it back to this one. */
  count: number;
  /** The last time, in milliseconds since 1970; of a count of 0, when it was handed back. */
  last: number;
}

/** Processes that are remembered of each socket: clients that ask and end must not fill the memory. */
const REMEMBERED = 8;

/** See the module's description. */
export class Ledger {
  readonly #lent = new WeakMap<Held, Lending[]>();

  /** Notes that a client gets a socket. */
  lend(held: Held, peer: Pick<Peer, "pid" | "uid">, now: number = Date.now()): void {
    this.#note(held, peer, now, 1);
  }

  /** Notes that a client has a socket from an earlier binder, unless it got it from this one as well. */
  handedBack(held: Held, peer: Pick<Peer, "pid" | "uid">, now: number = Date.now()): void {
    if (!this.of(held).some(({ pid, uid }) => pid === peer.pid && uid === peer.uid)) {
      this.#note(held, peer, now, 0);
    }
  }

  #note(held: Held, { pid, uid }: Pick<Peer, "pid" | "uid">, now: number, times: number): void {
    const lent = this.#lent.get(held) ?? [];
    const before = lent.find((one) => one.pid === pid && one.uid === uid);
    const others = lent.filter((one) => one !== before).slice(0, REMEMBERED - 1);
    this.#lent.set(held, [{ pid, uid, count: (before?.count ?? 0) + times, last: now }, ...others]);
  }

  /** Who was handed a socket, the latest first. */
  of(held: Held): readonly Lending[] {
    return this.#lent.get(held) ?? [];
  }

  /** The processes that were handed a socket: they are likely to serve it. */
  pids(held: Held): number[] {
    return this.of(held).map(({ pid }) => pid);
  }

  /** Goes on with what the predecessor of this program has noted. */
  restore(held: Held, lent: readonly Lending[]): void {
    if (lent.length > 0) this.#lent.set(held, lent.slice(0, REMEMBERED));
  }
}
