/** The generations that a dead wrapper of the same service has left (orphans), until they are retired. */

import type { Fd } from "../../ffi/fd.ts";
import type { Poller } from "../../ffi/poll.ts";
import type { Log } from "../log.ts";
import type { Service } from "../servers/service.ts";
import type { HeldSocket } from "./sockets.ts";
import type { SoftStop } from "./soft_stop.ts";
import { listeningSocketsOf } from "./orphan_sockets.ts";
import { findOrphans, type Orphan, retireOrphan } from "./orphans.ts";

/** The orphans of a service, in the care of its new wrapper. */
export class Orphanage {
  #orphans: Orphan[] = [];
  readonly #retirements: Promise<void>[] = [];
  readonly #drainEnd = new AbortController();

  /** @param drain milliseconds for which an orphan may go on with its connections */
  constructor(
    readonly service: Service,
    readonly softStop: SoftStop,
    readonly drain: number,
    readonly poller: Poller,
    readonly log: Log,
  ) {}

  /** Looks for orphans. @returns their pids */
  find(): number[] {
    this.#orphans = findOrphans(this.service.identity, this.log);
    return this.#orphans.map(({ pid }) => pid);
  }

  /**
   * Copies of the sockets that they were lent; the caller owns them.
   * @param stored sockets that systemd has kept for this wrapper, which are preferred to copies of the same
   */
  sockets(stored: readonly Fd[]): HeldSocket[] {
    return listeningSocketsOf(this.#orphans, this.log, stored);
  }

  /** Has those that were found finish their connections and end: a generation of ours serves. */
  retire(): void {
    const { service, softStop, drain, poller, log } = this;
    const { signal } = this.#drainEnd;
    const tell: typeof softStop.tell = (pid, send) => softStop.tell(pid, send, true);
    for (const orphan of this.#orphans.splice(0)) {
      this.#retirements.push(retireOrphan(orphan, service, tell, drain, signal, poller, log));
    }
  }

  /** Has those stopped hard that still drain, and those that are retired from now on. */
  endDrain(): void {
    this.#drainEnd.abort();
  }

  /** Waits until those that are retired have ended. */
  async retired(): Promise<void> {
    await Promise.all(this.#retirements);
  }
}
