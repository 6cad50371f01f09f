/** A wrapper's metrics. Their names and labels stay the same over versions. */

import { byLabel, expose, metric } from "../control/exposition.ts";
import { type Listener, listenerMetrics } from "../control/listener_metrics.ts";
import { ownMetrics } from "../process/own_metrics.ts";
import type { Upgrade } from "../process/upgrade.ts";
import { numericAddress } from "../sockets/address.ts";
import type { Counters } from "./counters.ts";
import type { Reloads } from "./reloads.ts";
import type { Sockets } from "./sockets.ts";
import type { Supervisor } from "./supervisor.ts";

/** What the metrics are made of. */
export interface Observed {
  /** Milliseconds since 1970. */
  started: number;
  upgrade: Upgrade;
  supervisor: Supervisor;
  sockets: Sockets;
  reloads: Reloads;
  counters: Counters;
}

/** As Prometheus's text, in pieces. */
export async function wrapperMetrics(observed: Observed): Promise<Uint8Array<ArrayBuffer>[]> {
  const { started, upgrade, supervisor, sockets, reloads, counters } = observed;
  const generations = { starting: 0, serving: 0, draining: 0 };
  for (const { state } of supervisor.snapshot().generations) generations[state]++;
  const { binder } = sockets;
  return expose([
    ...ownMetrics("wrapper", started, upgrade),
    byLabel(
      "multibinder_generations",
      "gauge",
      "Processes of the server, by what they are doing",
      "state",
      generations,
    ),
    ...reloads.last === null ? [] : [metric(
      "multibinder_config_last_reload_successful",
      "gauge",
      "Whether the last start or reload of the server worked",
      Number(reloads.last.ok),
    )],
    ...counters.metrics(),
    ...binder !== null
      ? [metric(
        "multibinder_binder_connected",
        "gauge",
        "Whether the connection to the binder stands",
        Number(binder.connected),
      )]
      : await listenerMetrics(listenersOf(sockets), () => generations.serving > 0),
  ]);
}

/** The sockets that no binder has in its own metrics. */
function listenersOf({ served }: Sockets): Listener[] {
  return served.flatMap(({ param, fd }) => {
    const address = numericAddress(param);
    return address === undefined ? [] : [{ address, fd }];
  });
}
