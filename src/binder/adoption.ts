/** Adopting sockets that clients got from an earlier binder, and hand back to this one. */

import type { Fd } from "../../ffi/fd.ts";
import { socketCookie } from "../../ffi/socket.ts";
import { messageOf } from "../errors.ts";
import type { Caller, Peer } from "../control/handler.ts";
import { type Address, formatAddress, wholeOf } from "../sockets/address.ts";
import { conform, heldFrom } from "../sockets/held.ts";
import { makerOf } from "../sockets/listen.ts";
import type { SocketOptions } from "../sockets/socket_options.ts";
import type { Wanted } from "../sockets/wanted.ts";
import type { Access } from "./access.ts";
import { whyUnfit } from "./handed_back.ts";
import type { Holdings } from "./holdings.ts";
import type { Ledger } from "./ledger.ts";
import type { Policy } from "./policy.ts";

/** What decides on them, and where they go. */
export interface AdoptionParts {
  holdings: Holdings;
  ledger: Ledger;
  policy: Policy;
  access: Pick<Access, "trusts">;
  /** Whether a socket is the one that clients of the binder connect to. */
  isControl: (fd: Fd) => boolean;
}

/** What is meant by an address whose words meant another one to an earlier version: the one that the socket has. */
export function meaning(wanted: Wanted, fd: Fd): Wanted {
  const { former } = wanted;
  const isFormer = former && whyUnfit(fd, wanted.address) !== undefined &&
    whyUnfit(fd, former) === undefined;
  return isFormer ? { ...wanted, address: former } : wanted;
}

/** See the module's description. */
export class Adoption {
  constructor(readonly parts: AdoptionParts) {}

  /**
   * Adopts a socket, if it is what the client says, and one that this binder may have.
   * @param fd stays the caller's
   * @returns `adopted`, `held` for the socket that is held already, or `refused: ` and why
   */
  adopt({ address, backlog, options = {} }: Wanted, fd: Fd, caller: Caller): string {
    const { peer } = caller;
    const { holdings, ledger } = this.parts;
    const { registry } = holdings.parts;
    const about = { address: formatAddress(address), pid: peer.pid };
    const why = this.#whyRefused(fd, address, options, peer);
    if (why !== undefined) {
      caller.complain("refused a socket handed back", { ...about, why });
      return `refused: ${why}`;
    }
    const held = registry.find(address);
    if (held) {
      if (socketCookie(held.fd) === socketCookie(fd)) {
        ledger.handedBack(held, peer);
        return "held";
      }
      caller.complain("a client has another socket of an address held", about);
      return "refused: another socket is held for this address";
    }
    const theirs = heldFrom(address, fd, registry.defaultBacklog);
    const adopted = { ...theirs, fd: fd.duplicate(), backlog: backlog ?? theirs.backlog };
    holdings.take(adopted, "adopted", about);
    ledger.handedBack(adopted, peer);
    return "adopted";
  }

  #whyRefused(fd: Fd, address: Address, options: SocketOptions, peer: Peer): string | undefined {
    const { holdings, policy } = this.parts;
    // What is held may be so because the client uses it, though no config names it any more.
    const isHeld = holdings.parts.registry.find(address) !== undefined;
    if (!isHeld && !policy.allows(address)) return "not allowed";
    return whyUnfit(fd, address, options) ?? this.#whyForeign(fd, peer) ??
      this.#whyOtherwiseHeld(fd, address) ?? this.#whyNotConformed(fd, address, options, peer);
  }

  /** A socket that some other user has made could be shut down, or read, by that user at any time. */
  #whyForeign(fd: Fd, { uid }: Peer): string | undefined {
    const { access } = this.parts;
    const maker = makerOf(fd);
    if (access.trusts(uid) || access.trusts(maker)) return undefined;
    return `uid ${maker} has made it, and neither root nor this binder's user`;
  }

  /** As what else than this address a socket is held already. */
  #whyOtherwiseHeld(fd: Fd, address: Address): string | undefined {
    const { holdings, isControl } = this.parts;
    if (isControl(fd)) return "it is this binder's control socket";
    if (address === wholeOf(address)) return undefined;
    const isOther = holdings.parts.registry.list().some((held) =>
      formatAddress(held.address) !== formatAddress(address) &&
      socketCookie(held.fd) === socketCookie(fd)
    );
    return isOther ? "it is held as another share of this address" : undefined;
  }

  /** Why a socket cannot have the options that it is to have; it has them from now on if it can. */
  #whyNotConformed(
    fd: Fd,
    address: Address,
    options: SocketOptions,
    { uid }: Peer,
  ): string | undefined {
    const { access, holdings, policy } = this.parts;
    const { registry } = holdings.parts;
    if (!access.trusts(uid)) {
      // As for a bind: what is held stays as it is, and some options are for the trusted alone.
      if (registry.find(address)) return undefined;
      const forbidden = policy.forbidden(options);
      if (forbidden) return `the option ${forbidden} is for root and this binder's user`;
    }
    try {
      conform({ fd, address, backlog: registry.defaultBacklog }, options);
      return undefined;
    } catch (error) {
      return messageOf(error);
    }
  }
}
