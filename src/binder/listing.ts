/** What a binder reports of its sockets, a page at a time: others have their turns between two pages. */

import type { Clients } from "../control/clients.ts";
import type { SocketReport, SocketsPage } from "../control/reports.ts";
import { formatAddress, hasFile, toParts } from "../sockets/address.ts";
import { recentOptionsOf } from "../sockets/kernel_options.ts";
import {
  listenerState,
  readUnixQueues,
  socketInode,
  type UnixQueues,
} from "../sockets/listener_state.ts";
import type { Held } from "../sockets/held.ts";
import { identity, isSame } from "../sockets/place.ts";
import type { Registry } from "../sockets/registry.ts";
import type { SocketOptions } from "../sockets/socket_options.ts";
import { giveTurn } from "../turns.ts";
import type { Alarm } from "./alarm.ts";
import type { Ledger } from "./ledger.ts";

/** Sockets of a page: a millisecond of work, and JSON that fits into the send buffer of a connection (unread.ts). */
const PAGE = 100;

/** Milliseconds for which the queues of UNIX sockets, which the kernel tells all at once, are not read again. */
const FRESH = 500;
const NONE: UnixQueues = new Map();

/** What is reported on. */
export interface Listed {
  registry: Registry;
  ledger: Ledger;
  clients: Pick<Clients, "attached">;
  alarm: Pick<Alarm, "troubles">;
}

/** See the module's description. */
export class Listing {
  #unix: { queues: UnixQueues; at: number } | undefined;
  readonly #sets = new WeakMap<readonly string[], ReadonlySet<string>>();

  constructor(readonly listed: Listed) {}

  /**
   * A page.
   * @param from how many sockets the pages before had; one that was given up meanwhile makes a gap of one
   */
  async page(from: number): Promise<SocketsPage> {
    const { alarm, clients, registry } = this.listed;
    const { attached } = clients;
    const all = registry.list();
    const chosen = all.slice(from, from + PAGE);
    const unix = await this.#unixQueues(chosen);
    const wrappers = attached.map(({ id, holds }) => ({ id, holds: this.#setOf(holds) }));
    const sockets: SocketReport[] = [];
    for (const held of chosen) {
      // It was given up meanwhile.
      if (held.fd.closed || !registry.serves(held)) continue;
      const address = formatAddress(held.address);
      sockets.push({
        address,
        type: held.address.transport,
        inode: socketInode(held.fd),
        ...listenerState(held, unix),
        since: held.since,
        lentTo: this.listed.ledger.of(held),
        wrappers: wrappers.filter(({ holds }) => holds.has(address)).map(({ id }) => id),
        ...(held.mended && { mended: held.mended }),
        options: allOptions(held),
      });
      await giveTurn();
    }
    const end = from + PAGE;
    return {
      sockets,
      next: end < all.length ? end : null,
      ...(from === 0 && {
        wrappers: attached.map(({ holds: _, ...rest }) => rest),
        troubles: alarm.troubles,
      }),
    };
  }

  async #unixQueues(sockets: readonly Held[]): Promise<UnixQueues> {
    if (!sockets.some(({ address }) => address.transport === "unix")) return NONE;
    if (this.#unix === undefined || performance.now() - this.#unix.at > FRESH) {
      this.#unix = { queues: await readUnixQueues(sockets, giveTurn), at: performance.now() };
    }
    return this.#unix.queues;
  }

  #setOf(holds: readonly string[]): ReadonlySet<string> {
    let set = this.#sets.get(holds);
    if (set === undefined) this.#sets.set(holds, set = new Set(holds));
    return set;
  }
}

/** All options of a socket, as a request for the same would name them: of its address, its file, and the kernel's. */
function allOptions(held: Held): SocketOptions {
  const { address, backlog, fd } = held;
  return {
    ...(address.transport !== "udp" && { backlog }),
    ...toParts(address).options,
    ...recentOptionsOf(fd, address),
    ...permissionsOf(held),
  };
}

/** Who may connect to a UNIX socket; nothing when its file is gone, or another one's by now. */
function permissionsOf({ address, file }: Held): SocketOptions {
  if (!hasFile(address) || file === undefined) return {};
  try {
    const info = Deno.lstatSync(address.path);
    if (!isSame(identity(info), file)) return {};
    const mode = ((info.mode ?? 0) & 0o777).toString(8);
    return { mode, user: String(info.uid), group: String(info.gid) };
  } catch {
    return {};
  }
}
