/** What systemd passes to a binder: sockets of a `.socket` unit, and those of its descriptor store. */

import { type Address, formatAddress, hasFile } from "../sockets/address.ts";
import { addressIfListening } from "../sockets/listen.ts";
import { EXIT, UserError } from "../errors.ts";
import type { ControlSocket } from "../control/control_socket.ts";
import { type Held, heldFrom } from "../sockets/held.ts";
import type { PassedFd } from "../systemd/listen_fds.ts";
import { fileId } from "../sockets/place.ts";

/** The descriptors, by their purpose. */
export interface PassedSockets {
  /** The control socket of a unit. Its file stays systemd's. */
  control?: ControlSocket;
  /** From the store: what an earlier binder has bound. */
  stored: Held[];
  /** Of a unit: what the administrator has configured. */
  configured: Held[];
  /** The names of those that were closed, being of no use. */
  refused: { name: string; why: string }[];
}

/** The longest name of a descriptor in the store (FDNAME_MAX of systemd). */
const MAX_NAME = 255;

/** How each name in the store begins. */
const STORE_NAME = /^(tcp|udp|unix|abns)-/;

/** A socket's name in the store, such as `tcp-0.0.0.0-80`: printable ASCII without a colon. */
export function storeName(address: Address): string {
  const text = address.transport !== "unix"
    ? [address.transport, address.host, address.port, address.interface, address.share]
      .filter((part) => part !== undefined).join("-")
    : `${address.padded ? "abns" : "unix"}-${address.path}`;
  return text.toWellFormed().replace(/[^!-$&-9;-~]/gu, encodeURIComponent)
    .slice(0, MAX_NAME);
}

/**
 * Sorts what was passed. A socket is known by what it listens on; its name tells only where it is from.
 * @param sock path of the control socket
 * @param backlog of a socket that does not tell its own
 * @throws {UserError} when one that is not from the store is no listening socket
 */
export function sortPassed(
  passed: readonly PassedFd[],
  sock: string,
  backlog: number,
): PassedSockets {
  const sorted: PassedSockets = { stored: [], configured: [], refused: [] };
  const seen = new Set<string>();
  for (const { name, fd } of passed) {
    const address = withShare(addressIfListening(fd), name);
    const why = address === undefined ? "it is no listening socket" : whyUseless(address, seen);
    // One from the store is removed, or it would come back at every start; one of a unit is a mistake in that.
    if (address === undefined && !STORE_NAME.test(name)) {
      throw new UserError(
        `descriptor ${fd.number}, which was passed in LISTEN_FDS as "${name}", is no listening socket; ` +
          "a unit that passes it must not have Accept=yes, nor sockets of another kind",
        { exitCode: EXIT.usage },
      );
    }
    if (address === undefined || why !== undefined) {
      fd.close();
      sorted.refused.push({ name, why: why ?? "" });
      continue;
    }
    seen.add(formatAddress(address));
    // Its file, if it has one, stays systemd's.
    const { file: _, ...held } = heldFrom(address, fd, backlog);
    if (address.transport === "unix" && address.path === sock) {
      fd.setNonBlocking();
      sorted.control = { fd, path: sock, file: { device: -1, inode: -1 } };
    } else if (name === storeName(address)) sorted.stored.push(held);
    else sorted.configured.push(held);
  }
  return sorted;
}

function whyUseless(address: Address, seen: ReadonlySet<string>): string | undefined {
  if (seen.has(formatAddress(address))) return "its address is held already";
  if (hasFile(address) && fileId(address.path) === undefined) {
    return "its file is gone, so nobody can connect";
  }
  return undefined;
}

/** Only its name tells which one a socket is of those that share an address. */
function withShare(address: Address | undefined, name: string): Address | undefined {
  if (address === undefined || address.transport === "unix") return address;
  const share = /-(\d+\/\d+)$/.exec(name)?.[1];
  return share === undefined ? address : { ...address, share };
}
