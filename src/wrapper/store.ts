/**
 * The listening sockets that systemd keeps for a wrapper, in its unit's descriptor store: however a wrapper ends,
 * the next one of the unit has them, and hands them back to the binder. Without the store it would copy them out of the
 * server that goes on without a wrapper, but not those that the binder's own user has made.
 *
 * Without systemd there is no store, and nothing happens here.
 * @module
 */

import type { Fd } from "../../ffi/fd.ts";
import { socketCookie } from "../../ffi/socket.ts";
import { takeListenFds } from "../systemd/listen_fds.ts";
import type { Notifier } from "../systemd/notify.ts";
import type { HeldSocket } from "./sockets.ts";

/** Their name in the store, by which they differ from sockets of a `.socket` unit. */
const NAME = "multibinder-held";

/** Descriptors that one message to systemd may carry (SCM_MAX_FD of the kernel). */
const AT_ONCE = 253;

/** See the module's description. */
export class Store {
  #kept = "";

  constructor(readonly notifier: Notifier) {}

  /** Takes the sockets that a wrapper before has left, once. They are the caller's. */
  take(): Fd[] {
    return takeListenFds().filter(({ name }) => name === NAME).map(({ fd }) => fd);
  }

  /** Has systemd keep these, and no others from now on. */
  keep(sockets: readonly HeldSocket[]): void {
    if (!this.notifier.enabled) return;
    const fds = sockets.map(({ fd }) => fd);
    const cookies = fds.map(socketCookie).toSorted().join();
    if (cookies === this.#kept) return;
    this.#kept = cookies;
    this.notifier.removeFds(NAME);
    for (let at = 0; at < fds.length; at += AT_ONCE) {
      this.notifier.storeFds(NAME, fds.slice(at, at + AT_ONCE));
    }
  }
}
