/** Whether what a client hands back is the socket that a binder would have bound. */

import {
  IPPROTO_MPTCP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  SO_PROTOCOL,
  SO_REUSEPORT,
  SOCK_STREAM,
  SOL_SOCKET,
} from "../../ffi/constants.ts";
import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { createSocket, getOption, networkNamespace } from "../../ffi/socket.ts";
import { FAMILIES } from "../../ffi/sockaddr.ts";
import { type Address, formatAddress, hasFile, wholeOf } from "../sockets/address.ts";
import { damageOf } from "../sockets/damage.ts";
import { listeningAddress } from "../sockets/listen.ts";
import type { SocketOptions } from "../sockets/socket_options.ts";
import { leadsTo } from "../sockets/unix_path.ts";

/** What others bind in place of TCP and UDP: SCTP, UDP-Lite, and MPTCP, for which there is an option. */
const PROTOCOLS = { tcp: IPPROTO_TCP, udp: IPPROTO_UDP } as const;

/**
 * Checks that a descriptor is what a binder would have bound for an address: a listening socket of that
 * address and type, which clients of this process's network namespace and files reach. Whoever sends it may
 * be mistaken, or lie.
 * @param options with which it would have been bound; of these only `mptcp` matters
 * @returns why it is not; undefined when it is
 */
export function whyUnfit(
  fd: Fd,
  address: Address,
  options: SocketOptions = {},
): string | undefined {
  try {
    const found = listeningAddress(fd);
    if (found === undefined) return "it is no listening socket";
    if (formatAddress(found) !== formatAddress(wholeOf(address))) {
      return `it listens on ${formatAddress(found)}`;
    }
    const damage = damageOf(fd, address);
    if (damage !== undefined) return damage;
    if (address.transport !== "unix") {
      const protocol = getOption(fd, SOL_SOCKET, SO_PROTOCOL);
      const expected = options.mptcp ? IPPROTO_MPTCP : PROTOCOLS[address.transport];
      if (protocol !== expected) return `it is of protocol ${protocol}`;
      const shares = getOption(fd, SOL_SOCKET, SO_REUSEPORT) !== 0;
      if (shares && address.share === undefined) {
        return "it may share its port with other sockets (SO_REUSEPORT)";
      }
      if (!shares && address.share !== undefined) {
        return "it shares its port with no other socket (SO_REUSEPORT)";
      }
    }
    if (hasFile(address)) {
      return leadsTo(address.path, fd) ? undefined : "its file is gone, or is another's";
    }
    using own = createSocket(FAMILIES.inet, SOCK_STREAM);
    return networkNamespace(own) === networkNamespace(fd)
      ? undefined
      : "it is in another network namespace";
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return error.code === "ENOTSOCK" ? "it is no socket" : error.message;
  }
}
