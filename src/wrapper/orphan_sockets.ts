/** Taking over the listening sockets of orphans: of those that root or this user has made. */

import { SO_REUSEPORT, SOL_SOCKET } from "../../ffi/constants.ts";
import type { Fd } from "../../ffi/fd.ts";
import { getOption, socketCookie } from "../../ffi/socket.ts";
import type { Log } from "../log.ts";
import { copyLent } from "../process/copied_socket.ts";
import { type Address, formatAddress, toParts } from "../sockets/address.ts";
import { addressIfListening } from "../sockets/listen.ts";
import type { HeldSocket } from "./sockets.ts";
import type { Orphan } from "./orphans.ts";

/**
 * Copies the listening sockets that orphans were lent, one an address, where this process may and where
 * root or its own user has made them. The caller owns them.
 * @param others sockets that are preferred to copies of the same address; those that are not returned are closed
 */
export function listeningSocketsOf(
  orphans: readonly Orphan[],
  log: Log,
  others: readonly Fd[] = [],
): HeldSocket[] {
  const found = new Map<string, { address: Address; fds: Map<bigint, Fd> }>();
  for (const fd of [...others, ...orphans.flatMap((orphan) => socketsOf(orphan, log))]) {
    const address = addressIfListening(fd);
    const text = address && formatAddress(address);
    const same = found.get(text ?? "");
    const isShare = same && getOption(fd, SOL_SOCKET, SO_REUSEPORT) !== 0;
    const cookie = socketCookie(fd);
    if (address && text && !same) found.set(text, { address, fds: new Map([[cookie, fd]]) });
    else if (isShare && !same.fds.has(cookie)) same.fds.set(cookie, fd);
    else fd.close();
  }
  return [...found.values()].flatMap(({ address, fds }) => {
    // They were lent in the order of their numbers.
    return [...fds.values()].map((fd, index) => {
      const share = fds.size > 1 && { share: `${index + 1}/${fds.size}` };
      return { param: toParts({ ...address, ...share }), fd };
    });
  });
}

/** Copies of the sockets that an orphan was lent and that are ours or root's. */
function socketsOf(orphan: Orphan, log: Log): Fd[] {
  const strangers = new Set<number>();
  const copies = copyLent(orphan, (uid) => strangers.add(uid));
  if (strangers.size > 0) {
    const uids = [...strangers].join(" ");
    const { pid } = orphan;
    log.warn("sockets are not taken over: neither root nor this user made them", { pid, uids });
  }
  return copies;
}
