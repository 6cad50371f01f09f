/** What a binder takes over from its predecessor, and hands over to its successor. */

import { Fd } from "../../ffi/fd.ts";
import { connectionState } from "../control/connection_state.ts";
import type { ControlSocket } from "../control/control_socket.ts";
import type { MetricsSocket } from "../control/metrics_socket.ts";
import { VERSION } from "../version.ts";
import type { Rules } from "./options.ts";
import { type BinderState, STATE_VERSION } from "./state.ts";
import type { View } from "./view.ts";

/** What the start makes, and a successor gets as well. */
interface Opened {
  control: ControlSocket;
  metrics: MetricsSocket | undefined;
  rules: Rules | undefined;
}

/** Takes over all but the connections. @returns the control socket */
export function goOnWith(before: BinderState, view: View): ControlSocket {
  const { registry, ledger, own, store, clients, counters } = view.seen;
  for (const { lent = [], since = Date.now(), ...rest } of before.held) {
    const held = { ...rest, since, fd: Fd.inherited(rest.fd) };
    registry.add(held);
    ledger.restore(held, lent);
  }
  own.restore(before.own);
  store.configured = before.configured ?? [];
  Object.assign(clients.counters, before.counters);
  Object.assign(counters.state, before.counted);
  view.started = before.started;
  return { ...before.control, fd: Fd.inherited(before.control.fd) };
}

/** The state for a successor, and the descriptors that it names. */
export function handOver(
  view: View,
  { control, metrics, rules }: Opened,
): { state: string; keep: Fd[] } {
  const { registry, ledger, own, store, clients, counters, upgrade } = view.seen;
  const connections = clients.handedOver();
  const held = registry.list();
  const scraped = metrics?.state;
  const state: BinderState = {
    role: "binder",
    version: STATE_VERSION,
    pid: Deno.pid,
    control: { ...control, fd: control.fd.number },
    held: held.map((one) => ({ ...one, fd: one.fd.number, lent: ledger.of(one) })),
    own: own.state,
    configured: store.configured,
    ...(rules && { rules }),
    clients: connections.map(connectionState),
    counters: clients.counters,
    counted: counters.state,
    ...(scraped && { metrics: scraped }),
    upgrades: upgrade.count + 1,
    started: view.started,
    from: VERSION,
  };
  const keep = [control, metrics, ...connections, ...held].flatMap((one) => one?.fd ?? []);
  return { state: JSON.stringify(state), keep };
}
