/** The metrics of listening sockets, a value of each for each socket. */

import { formatAddress } from "../sockets/address.ts";
import { listenerState, readUnixQueues } from "../sockets/listener_state.ts";
import type { Held } from "../sockets/held.ts";
import { giveTurn } from "../turns.ts";
import type { Metric, Sample } from "./exposition.ts";

/** A listening socket. */
export type Listener = Pick<Held, "address" | "fd">;

/**
 * Reads them. What the kernel does not tell of a socket is left out.
 * @param served whether some process accepts from a socket; absent where nobody has looked, undefined for a
 *   socket of which that is not known
 */
export async function listenerMetrics(
  listeners: readonly Listener[],
  served?: (listener: Listener) => boolean | undefined,
): Promise<Metric[]> {
  const queues: Sample[] = [];
  const limits: Sample[] = [];
  const drops: Sample[] = [];
  const serving: Sample[] = [];
  const unix = await readUnixQueues(listeners, giveTurn);
  for (const listener of listeners) {
    const labels = { address: formatAddress(listener.address) };
    const add = (samples: Sample[], value: number | null | undefined) => {
      if (value !== null && value !== undefined) samples.push({ labels, value });
    };
    const state = listenerState(listener, unix);
    // What a UDP socket tells is bytes, and nothing is accepted from it.
    if (listener.address.transport !== "udp") {
      add(queues, state.queue);
      add(limits, state.limit);
    }
    add(drops, state.drops);
    const isServed = served?.(listener);
    add(serving, isServed === undefined ? undefined : Number(isServed));
    await giveTurn();
  }
  return [
    {
      name: "multibinder_listener_accept_queue_length",
      type: "gauge",
      help: "Connections that wait to be accepted",
      samples: queues,
    },
    {
      name: "multibinder_listener_accept_queue_limit",
      type: "gauge",
      help:
        "How many connections may wait: beyond it the kernel drops what comes, or makes it wait (UNIX)",
      samples: limits,
    },
    {
      name: "multibinder_listener_drops_total",
      type: "counter",
      help: "Connections or datagrams that the kernel has dropped since the socket was made",
      samples: drops,
    },
    {
      name: "multibinder_listener_served",
      type: "gauge",
      help: "Whether some process besides multibinder has the socket open",
      samples: serving,
    },
  ];
}
