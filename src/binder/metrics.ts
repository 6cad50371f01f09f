/** A binder's metrics. Their names and labels stay the same over versions. */

import type { Trouble } from "../control/reports.ts";
import { byLabel, expose, labelled, Metric, metric } from "../control/exposition.ts";
import { listenerMetrics } from "../control/listener_metrics.ts";
import { ownMetrics } from "../process/own_metrics.ts";
import type { Upgrade } from "../process/upgrade.ts";
import type { Held } from "../sockets/held.ts";
import type { CountersState } from "./counters.ts";
import type { IsServed } from "./served.ts";

/** What the metrics of a binder are made from. */
export interface Observed {
  /** Milliseconds since 1970. */
  started: number;
  upgrade: Upgrade;
  sockets: readonly Held[];
  served: IsServed;
  troubles: readonly Trouble[];
  /** Addresses of its command line that it does not hold. */
  missing: number;
  clients: number;
  counters: CountersState;
  server: { connections: number; requests: number; errors: number };
}

/** As Prometheus's text, in pieces. */
export async function binderMetrics(observed: Observed): Promise<Uint8Array<ArrayBuffer>[]> {
  const { started, upgrade, sockets, missing, clients, counters, server } = observed;
  const { served, troubles } = observed;
  const alarms = new Metric(
    "multibinder_listener_alarm",
    "gauge",
    "1 while a socket is in trouble: nobody serves it, its queue is nearly full, or the kernel drops" +
      " connections",
  );
  for (const { address, kind } of troubles) alarms.add(1, labelled({ address, kind }));
  return expose([
    ...ownMetrics("binder", started, upgrade),
    ...await listenerMetrics(sockets, served),
    alarms,
    metric(
      "multibinder_addresses_missing",
      "gauge",
      "Addresses of the command line that the binder does not hold",
      missing,
    ),
    metric("multibinder_binds_total", "counter", "Sockets handed out to clients", counters.binds),
    byLabel(
      "multibinder_refusals_total",
      "counter",
      "Requests that were refused to clients who are let in, by errno's name",
      "code",
      counters.refusals,
    ),
    metric("multibinder_clients", "gauge", "Clients connected to the control socket", clients),
    metric(
      "multibinder_connections_total",
      "counter",
      "Connections to the control socket",
      server.connections,
    ),
    metric(
      "multibinder_requests_total",
      "counter",
      "Requests on the control socket",
      server.requests,
    ),
    metric(
      "multibinder_request_errors_total",
      "counter",
      "Answers on the control socket that were an error, those to clients who are not let in included",
      server.errors,
    ),
  ]);
}
