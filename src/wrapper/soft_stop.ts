/**
 * Telling a process to stop once its connections have ended. While it drains, a server that has left closed sockets in
 * its epoll sets would be woken for every connection that others accept: so they are taken out of these sets.
 * @module
 */

import type { SignalName } from "../../ffi/constants.ts";
import { FIRST_FD } from "../../ffi/spawn.ts";
import type { Poller } from "../../ffi/poll.ts";
import type { Log } from "../log.ts";
import type { Children } from "../process/children.ts";
import { lentTo } from "../process/marks.ts";
import { PolledSockets } from "../process/polled_sockets.ts";
import type { Service } from "../servers/service.ts";
import { trusted } from "./orphans.ts";

/** Milliseconds until a server that may have missed the signal is told again. */
const AGAIN = 1000;

/** Tells processes of a service to stop softly. */
export class SoftStop {
  /** @param isShared whether others may have the sockets that the processes were lent */
  constructor(
    readonly service: Pick<Service, "stopSignals" | "leavesSocketsPolled" | "mayMissStop">,
    readonly isShared: () => boolean,
    readonly poller: Poller,
    readonly children: Children,
    readonly log: Log,
  ) {}

  /**
   * Tells a process to stop.
   * @param send sends it a signal; gives false when it has ended
   * @param isForeign whether some other process has started it
   * @returns what `send` gave
   */
  tell(pid: number, send: (signal: SignalName) => boolean, isForeign = false): boolean {
    const { leavesSocketsPolled = false, stopSignals } = this.service;
    // If nobody else holds the sockets, our copies would be all that keeps them open, and clients would
    // queue at them in vain.
    const isNeeded = leavesSocketsPolled && this.isShared();
    const polled = isNeeded
      ? PolledSockets.of(pid, lentTo(pid, trusted()), !isForeign, this.log)
      : undefined;
    try {
      const isThere = send(stopSignals.soft);
      if (isThere && this.service.mayMissStop) this.#insist(pid, send);
      if (isThere) void polled?.forget(this.poller, this.children, this.log);
      else polled?.[Symbol.dispose]();
      return isThere;
    } catch (error) {
      polled?.[Symbol.dispose]();
      throw error;
    }
  }

  /** Tells it again as long as it has a socket that it was lent. */
  #insist(pid: number, send: (signal: SignalName) => boolean): void {
    setTimeout(() => {
      const lent = Array.from({ length: lentTo(pid, trusted()) ?? 0 });
      if (!lent.some((_, index) => isSocket(`/proc/${pid}/fd/${FIRST_FD + index}`))) return;
      this.log.info("the server goes on, telling it once more to stop", { pid });
      if (send(this.service.stopSignals.soft)) this.#insist(pid, send);
    }, AGAIN);
  }
}

function isSocket(path: string): boolean {
  try {
    return Deno.readLinkSync(path).startsWith("socket:");
  } catch {
    return false; // It is closed, or the process has ended.
  }
}
