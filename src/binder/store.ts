/** What systemd keeps for a binder, or has opened for it: descriptors, which outlive its process. */

import type { ControlSocket } from "../control/control_socket.ts";
import type { Log } from "../log.ts";
import { formatAddress } from "../sockets/address.ts";
import type { Mending } from "../sockets/damage.ts";
import type { Held } from "../sockets/held.ts";
import type { Registry } from "../sockets/registry.ts";
import type { Notifier } from "../systemd/notify.ts";
import { type PassedSockets, storeName } from "./passed_sockets.ts";
import type { Policy } from "./policy.ts";

/** What has become of a socket that a client has made useless, and whether it is the same one. */
const MENDED: Record<Mending, [message: string, isSame: boolean]> = {
  listens: ["; it listens again", true],
  anew: ["; another one is bound in its place", false],
  gone: ["; its address cannot be bound anew", false],
};

/** See the module's description. Without systemd there is none, and nothing happens here. */
export class Store {
  /** What units have configured, each in its canonical form. */
  configured: string[] = [];

  constructor(
    readonly notifier: Notifier,
    readonly registry: Registry,
    readonly log: Log,
  ) {}

  /** Holds the sockets of units. @returns the control socket, if it is one of them */
  takeConfigured({ control, configured, refused }: PassedSockets): ControlSocket | undefined {
    for (const held of configured) {
      this.registry.add(held);
      this.configured.push(formatAddress(held.address));
      this.log.info("holding a socket of a unit", { address: formatAddress(held.address) });
    }
    for (const { name, why } of refused) {
      this.log.warn("gave up a descriptor that systemd passed", { name, why });
      this.notifier.removeFds(name);
    }
    return control;
  }

  /** Lets clients ask for the sockets of units that are held. */
  allowConfigured(policy: Policy): void {
    for (const { address } of this.registry.list()) {
      if (this.configured.includes(formatAddress(address))) policy.allowAddress(address);
    }
  }

  /** Holds again what an earlier binder had bound, as far as it is still allowed. */
  takeStored({ stored }: PassedSockets, policy: Policy): void {
    for (const held of stored) {
      const address = formatAddress(held.address);
      if (policy.allows(held.address)) {
        this.registry.add(held);
        this.log.info("holding again", { address });
      } else {
        this.log.info("gave up a socket that is not allowed any more", { address });
        this.notifier.removeFds(storeName(held.address));
        held.fd.close();
      }
    }
  }

  /** Has systemd keep a socket beyond the end of this process. */
  keep(held: Held): void {
    if (!this.notifier.enabled) return;
    this.notifier.storeFds(storeName(held.address), [held.fd]);
    // The file must stay as long as the socket.
    delete held.file;
    this.showStatus();
  }

  /** Has systemd give a socket up that is held no more. */
  release(address: Held["address"]): void {
    this.notifier.removeFds(storeName(address));
    this.showStatus();
  }

  /**
   * Notes that a socket was mended which a client had made useless. There is one warning for each socket, since
   * whoever does this can do it all the time; `status` shows how often it was.
   */
  mended(held: Held, why: string, how: Mending): void {
    const address = formatAddress(held.address);
    const level = held.mended === 1 ? "warn" : "debug";
    const [message, isSame] = MENDED[how];
    this.log[level](`a client has made a socket useless${message}`, { address, why });
    if (isSame) return;
    this.notifier.removeFds(storeName(held.address));
    if (how === "anew") this.keep(held);
  }

  /** Tells `systemctl status` how much is held. */
  showStatus(): void {
    const count = this.registry.size;
    this.notifier.status(`holding ${count} socket${count === 1 ? "" : "s"}`);
  }
}
