/** Who may use the control socket, and who may do what is for the binder's own user. */

import { effectiveUid } from "../../ffi/process.ts";
import { groupId, userId } from "../accounts.ts";
import { MAX_MESSAGE_BYTES } from "../protocol/framing.ts";
import type { Peer, Rights } from "../protocol/server.ts";

/** Descriptors that one request of a trusted client may carry. */
const MAX_HANDED_BACK = 65_536;

/** Bytes of a client's request, some 3,000 addresses: what all of them can make us keep is this many times. */
const MAX_CLIENT_BYTES = 256 * 1024;

/** Bytes of a request that is going to be refused anyway. */
const MAX_STRANGER_BYTES = 4096;

/** Stands for every user. */
const ANYONE = "*";

/** Root and the binder's own user may do everything; the users and groups listed may ask for sockets. */
export class Access {
  readonly #uids: ReadonlySet<number>;
  readonly #gids: ReadonlySet<number>;
  readonly #anyone: boolean;

  /**
   * @param rules users and groups by name or number; a user `*` is everyone
   * @throws {UserError} for a name that is not known
   */
  constructor(
    { uids, gids }: { uids: readonly string[]; gids: readonly string[] },
    readonly own: number = effectiveUid(),
  ) {
    this.#anyone = uids.includes(ANYONE);
    this.#uids = new Set(uids.filter((uid) => uid !== ANYONE).map(userId));
    this.#gids = new Set(gids.map(groupId));
  }

  /** What a peer may do. */
  rights({ uid, gid, groups }: Peer): Rights {
    const trusted = this.trusts(uid);
    const served = trusted || this.#anyone || this.#uids.has(uid) ||
      [gid, ...groups].some((group) => this.#gids.has(group));
    if (trusted) return { served, maxFds: MAX_HANDED_BACK, maxBytes: MAX_MESSAGE_BYTES };
    return { served, maxFds: 0, maxBytes: served ? MAX_CLIENT_BYTES : MAX_STRANGER_BYTES };
  }

  /** Whether a user may hand sockets back, give addresses up, and upgrade the binder. */
  trusts(uid: number): boolean {
    return uid === 0 || uid === this.own;
  }
}
