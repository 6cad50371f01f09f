/** The listening sockets of a wrapper that has no binder, and binds them itself. */

import type { Fd } from "../../ffi/fd.ts";
import type { BindParam } from "../control/messages.ts";
import { formerMeaning, hasFile, resolveAddress, toParts } from "../sockets/address.ts";
import { BindError, namingHolder } from "../sockets/bind_error.ts";
import type { Held } from "../sockets/held.ts";
import { DEFAULT_BACKLOG, listeningAddress } from "../sockets/listen.ts";
import { fileId } from "../sockets/place.ts";
import { Registry } from "../sockets/registry.ts";
import { leadsTo } from "../sockets/unix_path.ts";
import { type Wanted, wantedOf } from "../sockets/wanted.ts";
import type { HeldSocket, Sockets } from "./sockets.ts";

/** Sockets bound by this process. */
export class OwnSockets implements Sockets {
  readonly binder = null;
  readonly #registry = new Registry(DEFAULT_BACKLOG);
  #served = new Set<Held>();
  #candidate = new Set<Held>();
  #announce: (() => void) | undefined;

  /** @param announce called once, before the first socket is bound */
  constructor(announce?: () => void) {
    this.#announce = announce;
  }

  get served(): HeldSocket[] {
    return [...this.#served].map(({ address, backlog, fd }) => {
      return { param: { ...toParts(address), backlog }, fd };
    });
  }

  async prepare(params: readonly BindParam[]): Promise<Fd[]> {
    const wanted: Wanted[] = [];
    for (const parts of params) {
      const found = resolveAddress(parts);
      wanted.push(wantedOf(found instanceof Promise ? await found : found, parts));
    }
    if (wanted.length > 0) {
      this.#announce?.();
      this.#announce = undefined;
    }
    const held = await this.#bind(wanted);
    this.#candidate = new Set(held);
    return held.map(({ fd }) => fd);
  }

  async #bind(wanted: readonly Wanted[]): Promise<Held[]> {
    try {
      return this.#registry.bind(wanted);
    } catch (error) {
      throw error instanceof BindError ? await namingHolder(error) : error;
    }
  }

  commit(): void {
    this.#served = this.#candidate;
    this.#registry.closeExcept(this.#served);
  }

  rollback(): void {
    this.#registry.closeExcept(this.#served);
  }

  async restore(sockets: readonly HeldSocket[]): Promise<void> {
    for (const { param: { backlog = DEFAULT_BACKLOG, ...parts }, fd } of sockets) {
      // In older versions `*` meant another address: the socket says which.
      const address = formerMeaning(parts) && listeningAddress(fd) || await resolveAddress(parts);
      // What lies at the path by now may be another's, and is not to be removed.
      const isOurs = hasFile(address) && leadsTo(address.path, fd);
      const file = isOurs ? fileId(address.path) : undefined;
      this.#registry.add({ address, fd, backlog, since: Date.now(), ...(file && { file }) });
    }
    this.#served = new Set(this.#registry.list());
  }

  tell(): void {}

  /** Nobody else accepts from them: clients are to be refused, and not to wait in vain. */
  stop(): void {
    this.close();
  }

  close(): void {
    this.#served = new Set();
    this.#registry.close();
  }
}
