/** The listening sockets that a process holds: one for each address. */

import { discard, discardNow } from "../../ffi/discard.ts";
import type { Fd } from "../../ffi/fd.ts";
import { UserError } from "../errors.ts";
import { type Address, formatAddress } from "./address.ts";
import { mend, type Mending } from "./damage.ts";
import { closeHeld, conform, growBacklog, type Held } from "./held.ts";
import type { FileId } from "./place.ts";
import { closeUnlessServed } from "./unix_path.ts";
import { listenFor, type Wanted } from "./wanted.ts";

/** The sockets held, by address. */
export class Registry {
  readonly #held = new Map<string, Held>();
  readonly #waiting: (() => void)[] = [];
  /** The sockets that are new in a batch which is being bound in pieces, and the end of that batch. */
  readonly #fresh = new Set<Held>();
  #unfinished: Promise<void> | undefined;

  /**
   * @param defaultBacklog for a request that names none
   * @param mended called with each socket that served nobody, why it did, and what has become of it
   */
  constructor(
    readonly defaultBacklog: number,
    readonly mended: (held: Held, why: string, how: Mending) => void = () => {},
  ) {}

  /** Takes over a socket that is bound already. */
  add(held: Held): void {
    this.#held.set(formatAddress(held.address), held);
    this.#waiting.splice(0).forEach((resolve) => resolve());
  }

  /** The socket held for an address. */
  find(address: Address): Held | undefined {
    return this.#held.get(formatAddress(address));
  }

  /** The socket held for a wanted address, or for what its words meant to an earlier version. */
  findWanted({ address, former }: Wanted): Held | undefined {
    return this.find(address) ?? (former && this.find(former));
  }

  /** Whether a socket is held for an address, in its canonical form. */
  holds(text: string): boolean {
    return this.#held.has(text);
  }

  /** Waits until a socket is added, or the time is over. @param timeout milliseconds */
  changed(timeout: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeout);
      this.#waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /**
   * Finds or binds the sockets for addresses, all or none: what was newly bound is closed again when a
   * later one fails, since nobody would accept from it.
   * @returns one an address, in their order; the registry's
   * @throws {BindError} for the first that cannot be bound
   */
  bind(wanted: readonly Wanted[]): Held[] {
    return this.bindNew(wanted).held;
  }

  /** As {@link bind}. @returns those wanted, and which of them are new */
  bindNew(wanted: readonly Wanted[]): { held: Held[]; fresh: Set<Held> } {
    const fresh = new Set<Held>();
    try {
      return { held: wanted.map((one) => this.#findOrListen(one, fresh)), fresh };
    } catch (error) {
      fresh.forEach((held) => this.#release(formatAddress(held.address)));
      discardNow();
      throw error;
    }
  }

  /**
   * As {@link bind}, in pieces, for one batch at a time. As long as the last one is not bound, nobody else may
   * have what is newly bound: see {@link unfinished}.
   * @param pause called often; what it returns is waited for
   * @returns those wanted, and which of them are new
   */
  async bindInPieces(
    wanted: readonly Wanted[],
    pause: () => Promise<void> | undefined,
  ): Promise<{ held: Held[]; fresh: Set<Held> }> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#unfinished = promise;
    const fresh = this.#fresh;
    const held: Held[] = [];
    try {
      for (const one of wanted) {
        held.push(this.#findOrListen(one, fresh));
        await pause();
      }
      return { held, fresh: new Set(fresh) };
    } catch (error) {
      for (const one of fresh) {
        this.#release(formatAddress(one.address));
        await pause();
      }
      discardNow();
      throw error;
    } finally {
      fresh.clear();
      this.#unfinished = undefined;
      resolve();
    }
  }

  /** The end of a batch that is being bound in pieces, if one of some addresses is new in that. */
  unfinished(wanted: readonly Wanted[]): Promise<void> | undefined {
    if (this.#unfinished === undefined) return undefined;
    const isNew = wanted.some((one) => {
      const held = this.findWanted(one);
      return held !== undefined && this.#fresh.has(held);
    });
    return isNew ? this.#unfinished : undefined;
  }

  #findOrListen(wanted: Wanted, fresh: Set<Held>): Held {
    const held = this.findWanted(wanted);
    if (held !== undefined) {
      this.mend(held);
      conform(held, wanted.options);
      growBacklog(held, wanted.backlog);
      return held;
    }
    const { backlog = this.defaultBacklog } = wanted;
    const added = listenFor(
      { ...wanted, backlog },
      () => this.list().map(({ address }) => address),
    );
    this.#held.set(formatAddress(added.address), added);
    fresh.add(added);
    return added;
  }

  /**
   * Makes a socket serve again that somebody has shut down or connected; one that serves is left alone.
   * @throws {UserError} when that is not possible (BindError), or somebody else puts a file in the place of a UNIX
   *   socket's meanwhile; nothing is held for the address then
   */
  mend(held: Held): void {
    const done = mend(held);
    if (done === undefined) return;
    if (done.how === "gone") this.#held.delete(formatAddress(held.address));
    this.mended(held, done.why, done.how);
    if (done.how === "gone") throw done.error;
  }

  /** Whether a socket serves, which it may do since this call has mended it. One that does not is held no more. */
  serves(held: Held): boolean {
    try {
      this.mend(held);
      return true;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return false;
    }
  }

  /** How many sockets are held. */
  get size(): number {
    return this.#held.size;
  }

  /** Every socket held, in the order in which they were bound. */
  list(): Held[] {
    return [...this.#held.values()];
  }

  /** Closes the socket held for an address, and removes the file of a UNIX socket. */
  release(address: Address): void {
    this.#release(formatAddress(address));
    discardNow();
  }

  /** Closes every socket but those given, and removes the files of UNIX sockets. */
  closeExcept(kept: ReadonlySet<Held>): void {
    for (const [key, held] of this.#held) {
      if (!kept.has(held)) this.#release(key);
    }
    discardNow();
  }

  /** Closes every socket, and removes the files of those that have one. */
  close(): void {
    this.closeExcept(new Set());
  }

  /** Closes every socket; the file of a UNIX socket stays when somebody else goes on serving that. */
  abandon(): void {
    const named: { fd: Fd; path: string; file: FileId }[] = [];
    for (const { address, fd, file } of this.#held.values()) {
      if (address.transport !== "unix") fd.close();
      else if (file) named.push({ fd, path: address.path, file });
      else discard(fd);
    }
    closeUnlessServed(named);
    discardNow();
    this.#held.clear();
  }

  #release(key: string): void {
    const held = this.#held.get(key);
    if (held === undefined) return;
    this.#held.delete(key);
    closeHeld(held);
  }
}
