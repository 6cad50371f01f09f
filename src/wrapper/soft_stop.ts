/** Telling a process to stop once its connections have ended, so that it costs the others nothing. */

import type { SignalName } from "../../ffi/constants.ts";
import type { Poller } from "../../ffi/poll.ts";
import type { Log } from "../log.ts";
import type { Children } from "../process/children.ts";
import { PolledSockets } from "../process/polled_sockets.ts";
import type { Service } from "../servers/service.ts";
import { lentTo } from "./orphans.ts";

/** Tells processes of a service to stop softly. */
export class SoftStop {
  /** @param isShared whether others may have the sockets that the processes were lent */
  constructor(
    readonly service: Pick<Service, "stopSignals" | "leavesSocketsPolled">,
    readonly isShared: () => boolean,
    readonly poller: Poller,
    readonly children: Children,
    readonly log: Log,
  ) {}

  /**
   * Tells a process to stop.
   * @param send sends it a signal, false when it has ended
   * @param isForeign whether some other process has started it
   * @returns what `send` did
   */
  tell(pid: number, send: (signal: SignalName) => boolean, isForeign = false): boolean {
    const { leavesSocketsPolled = false, stopSignals } = this.service;
    // If nobody else holds the sockets, our copies would be all that keeps them open, and clients would
    // queue at them in vain.
    const isNeeded = leavesSocketsPolled && this.isShared();
    const polled = isNeeded ? PolledSockets.of(pid, lentTo(pid), !isForeign, this.log) : undefined;
    try {
      const isThere = send(stopSignals.soft);
      if (isThere) void polled?.forget(this.poller, this.children, this.log);
      else polled?.[Symbol.dispose]();
      return isThere;
    } catch (error) {
      polled?.[Symbol.dispose]();
      throw error;
    }
  }
}
