/** Looking up the host names that clients ask for: a name server that is slow must not keep others waiting. */

import { type Address, type AddressParts, resolveAddress } from "../sockets/address.ts";
import { RPC, RpcError } from "../control/messages.ts";
import { Queue } from "../turns.ts";

/** Names of one user that wait to be looked up, or are. */
const MAX_LOOKUPS = 16;
/** Names looked up at once for users who are not trusted: of the four at once in all, one is left to the trusted. */
const AT_ONCE = 3;

/** Looks names up, of which users who are not trusted have their shares. */
export class LookUps {
  /** How many look-ups wait or are under way, by user. */
  readonly #counts = new Map<number, number>();
  readonly #turns = new Queue(AT_ONCE);

  /**
   * Looks a name up. Those of users who are not trusted take turns that leave room for the trusted.
   * @param uid whose request it is
   * @throws {UserError} when the name is not known
   * @throws {RpcError} when the user has too many such requests
   */
  async resolve(parts: AddressParts, uid: number, trusted: boolean): Promise<Address> {
    if (trusted) return await resolveAddress(parts);
    const waiting = this.#counts.get(uid) ?? 0;
    if (waiting >= MAX_LOOKUPS) {
      const why = `uid ${uid} has ${waiting} names looked up already; try again later (EAGAIN)`;
      throw new RpcError(RPC.couldNotBind, `Could not bind: ${why}`, { code: "EAGAIN" });
    }
    this.#counts.set(uid, waiting + 1);
    try {
      return await this.#turns.run(() => resolveAddress(parts));
    } finally {
      const left = (this.#counts.get(uid) ?? 1) - 1;
      if (left > 0) this.#counts.set(uid, left);
      else this.#counts.delete(uid);
    }
  }
}
