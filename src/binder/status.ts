/** What `status` shows of a binder. */

import type { Clients } from "../control/clients.ts";
import { formatAddress } from "../sockets/address.ts";
import { recentOptionsOf } from "../sockets/kernel_options.ts";
import { tcpQueue } from "../sockets/listener_state.ts";
import type { Registry } from "../sockets/registry.ts";
import { giveTurn } from "../turns.ts";

/** The sockets that a binder holds. */
export async function heldSockets(registry: Registry, clients: Clients): Promise<object[]> {
  const holders = new Map<string, number[]>();
  for (const { pid, holds } of clients.attached) {
    for (const address of holds) {
      holders.set(address, [...holders.get(address) ?? [], pid]);
      await giveTurn();
    }
  }
  const sockets = [];
  for (const held of registry.list()) {
    // It was given up meanwhile.
    if (held.fd.closed || !registry.serves(held)) continue;
    const { address, backlog } = held;
    const text = formatAddress(address);
    const options = recentOptionsOf(held.fd, address);
    const queue = address.transport === "tcp" ? tcpQueue(held.fd) : undefined;
    sockets.push({
      address: text,
      backlog,
      ...(queue && { queue }),
      ...(Object.keys(options).length > 0 && { options }),
      holders: holders.get(text) ?? [],
      ...(held.mended && { mended: held.mended }),
    });
    await giveTurn();
  }
  return sockets;
}
