/** How much of one thing clients may make a server keep: each user, all who are not trusted, and everyone. */

/** A user for whom something is kept. */
export interface User {
  uid: number;
  /** Whether there must be room for this user, whatever all others take. */
  trusted: boolean;
}

/** Shares of one thing, in its own unit. */
export interface Bounds {
  /** Of one user who is not trusted. */
  user: number;
  /** Of all users who are not trusted. */
  others: number;
  /** Of everyone. */
  all: number;
}

/** Counts one thing. */
export class Budget {
  readonly #users = new Map<number, number>();
  #others = 0;
  #all = 0;

  constructor(readonly bounds: Bounds) {}

  /** Takes some, if that leaves everybody within bounds. @returns whether it does */
  take({ uid, trusted }: User, amount: number): boolean {
    const { user, others, all } = this.bounds;
    const own = (this.#users.get(uid) ?? 0) + amount;
    if (this.#all + amount > all) return false;
    if (!trusted && (own > user || this.#others + amount > others)) return false;
    this.#add(uid, trusted, amount);
    return true;
  }

  /** Gives back what was taken. */
  give({ uid, trusted }: User, amount: number): void {
    this.#add(uid, trusted, -amount);
  }

  #add(uid: number, trusted: boolean, amount: number): void {
    const own = (this.#users.get(uid) ?? 0) + amount;
    if (own > 0) this.#users.set(uid, own);
    else this.#users.delete(uid);
    this.#all += amount;
    if (!trusted) this.#others += amount;
  }
}
