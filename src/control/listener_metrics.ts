/** The metrics of listening sockets, a value of each for each socket. */

import { formatAddress } from "../sockets/address.ts";
import { listenerState, readUnixQueues } from "../sockets/listener_state.ts";
import type { Held } from "../sockets/held.ts";
import { giveTurn } from "../turns.ts";
import { labelled, Metric } from "./exposition.ts";

/** A listening socket. */
export type Listener = Pick<Held, "address" | "fd">;

/**
 * Reads the metrics of sockets. What the kernel does not tell of one is left out.
 * @param served whether some process accepts from a socket; absent where nobody has looked, undefined for a
 *   socket of which that is not known
 */
export async function listenerMetrics(
  listeners: readonly Listener[],
  served?: (listener: Listener) => boolean | undefined,
): Promise<Metric[]> {
  const queues = new Metric(
    "multibinder_listener_accept_queue_length",
    "gauge",
    "Connections that wait to be accepted",
  );
  const limits = new Metric(
    "multibinder_listener_accept_queue_limit",
    "gauge",
    "How many connections may wait: beyond it the kernel drops what comes, or makes it wait (UNIX)",
  );
  const drops = new Metric(
    "multibinder_listener_drops_total",
    "counter",
    "Connections or datagrams that the kernel has dropped since the socket was made",
  );
  const serving = new Metric(
    "multibinder_listener_served",
    "gauge",
    "Whether some process besides multibinder has the socket open",
  );
  const unix = await readUnixQueues(listeners, giveTurn);
  for (const listener of listeners) {
    const labels = labelled({ address: formatAddress(listener.address) });
    const state = listenerState(listener, unix);
    // The queue of a UDP socket is counted in bytes, and nothing is accepted from it.
    if (listener.address.transport !== "udp") {
      if (state.queue !== null) queues.add(state.queue, labels);
      if (state.limit !== null) limits.add(state.limit, labels);
    }
    if (state.drops !== null) drops.add(state.drops, labels);
    const isServed = served?.(listener);
    if (isServed !== undefined) serving.add(Number(isServed), labels);
    await giveTurn();
  }
  return [queues, limits, drops, serving];
}
