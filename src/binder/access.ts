/** Who may use the control socket, and who may do what is for the binder's own user. */

import { groupId, userId } from "../accounts.ts";
import { MAX_MESSAGE_BYTES } from "../control/framing.ts";
import type { Peer, Rights } from "../control/handler.ts";

/** Descriptors that one request of a trusted client may carry. */
const MAX_HANDED_BACK = 65_536;

/** Bytes of a client's request, some 3,000 addresses: as much is kept of each client in the worst case. */
const MAX_CLIENT_BYTES = 256 * 1024;

/** Bytes of a request that is going to be refused anyway. */
const MAX_STRANGER_BYTES = 4096;

/** Stands for every user. */
const ANYONE = "*";

/** Who may connect, in numbers. */
export interface AccessRules {
  /** The binder's own user. */
  own: number;
  uids: readonly number[];
  gids: readonly number[];
  anyone: boolean;
  /** Users who may hand sockets back. Absent in the state of a binder that knew of none. */
  adopters?: readonly number[];
}

/**
 * Looks names up.
 * @param names users and groups by name or number; a user `*` among `uids` is everyone
 * @throws {UserError} for a name that is not known
 */
export function accessRules(
  { uids, gids, adopters = [] }: {
    uids: readonly string[];
    gids: readonly string[];
    adopters?: readonly string[];
  },
  own: number,
): AccessRules {
  return {
    own,
    uids: uids.filter((uid) => uid !== ANYONE).map(userId),
    gids: gids.map(groupId),
    anyone: uids.includes(ANYONE),
    adopters: adopters.map(userId),
  };
}

/**
 * Root and the binder's own user may do everything; the users and groups listed may ask for sockets, and
 * those listed as adopters may hand back sockets that root or the binder's own user has made.
 */
export class Access {
  /** @param look as in {@link Rights}, for adopters: root and the binder's user could stop it anyway */
  constructor(public rules: AccessRules, readonly look?: Rights["look"]) {}

  /** What a peer may do. */
  rights({ uid, gid, groups }: Peer): Rights {
    const { anyone, uids, gids } = this.rules;
    const served = this.mayAdopt(uid) || anyone || uids.includes(uid) ||
      [gid, ...groups].some((group) => gids.includes(group));
    if (this.mayAdopt(uid)) {
      const trusted = this.trusts(uid);
      return {
        served,
        trusted,
        maxFds: MAX_HANDED_BACK,
        maxBytes: MAX_MESSAGE_BYTES,
        ...(!trusted && this.look && { look: this.look }),
      };
    }
    return {
      served,
      trusted: false,
      maxFds: 0,
      maxBytes: served ? MAX_CLIENT_BYTES : MAX_STRANGER_BYTES,
    };
  }

  /** Whether a user may hand sockets back. */
  mayAdopt(uid: number): boolean {
    return this.trusts(uid) || (this.rules.adopters?.includes(uid) ?? false);
  }

  /** Whether a user may hand any socket back, give addresses up, and upgrade the binder. */
  trusts(uid: number): boolean {
    return uid === 0 || uid === this.rules.own;
  }
}
