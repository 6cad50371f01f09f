/** What a binder reports of itself: to `status`, to `ls` and its kin, and to scrapers of metrics. */

import type { Clients } from "../control/clients.ts";
import type { SocketsPage } from "../control/reports.ts";
import type { Upgrade } from "../process/upgrade.ts";
import type { Registry } from "../sockets/registry.ts";
import { VERSION } from "../version.ts";
import type { Alarm } from "./alarm.ts";
import type { Counters } from "./counters.ts";
import type { Ledger } from "./ledger.ts";
import { Listing } from "./listing.ts";
import type { OwnAddresses } from "./own_addresses.ts";
import { Served } from "./served.ts";
import { heldSockets } from "./status.ts";
import type { Store } from "./store.ts";

/** What is reported on. */
export interface Seen {
  /** Path of the control socket. */
  sock: string;
  registry: Registry;
  ledger: Ledger;
  clients: Clients;
  own: OwnAddresses;
  store: Store;
  alarm: Alarm;
  upgrade: Upgrade;
  counters: Counters;
}

/** See the module's description. */
export class View {
  /** When the binder was started, in milliseconds since 1970: upgrades in place do not count. */
  started: number = Date.now();
  readonly #listing: Listing;
  readonly #served: Served;

  constructor(readonly seen: Seen) {
    this.#listing = new Listing(seen);
    this.#served = new Served((held) => seen.ledger.pids(held));
  }

  /** A page of the sockets held. @param from how many the pages before had */
  page(from: number): Promise<SocketsPage> {
    return this.#listing.page(from);
  }

  /** What `status` shows. */
  async status(): Promise<object> {
    const { alarm, clients, own, registry, sock, upgrade } = this.seen;
    return {
      role: "binder",
      version: VERSION,
      pid: Deno.pid,
      uptimeSeconds: Math.round((Date.now() - this.started) / 1000),
      sock,
      sockets: await heldSockets(registry, clients),
      missing: own.missing,
      troubles: alarm.troubles,
      wrappers: clients.attached.map(({ pid, uid, report }) => ({ pid, uid, ...report })),
      clients: clients.size,
      ...clients.counters,
      ...upgrade.describe(),
    };
  }

  /** As Prometheus's text, in pieces. */
  async metrics(): Promise<Uint8Array<ArrayBuffer>[]> {
    // A start does not need it: it is loaded when somebody asks for metrics.
    const { binderMetrics } = await import("./metrics.ts");
    const { alarm, clients, counters, own, registry, upgrade } = this.seen;
    const sockets = registry.list();
    return await binderMetrics({
      started: this.started,
      upgrade,
      sockets,
      served: await this.#served.look(sockets, clients.attached),
      troubles: alarm.troubles,
      missing: own.missing.length,
      clients: clients.size,
      counters: counters.state,
      server: clients.counters,
    });
  }

  /** The same as one text. */
  async metricsText(): Promise<string> {
    const { textOf } = await import("../control/exposition.ts");
    return textOf(await this.metrics());
  }
}
