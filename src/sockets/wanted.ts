/** An address that is wanted, and listening on it beside those that are held. */

import {
  type Address,
  type AddressParts,
  formatAddress,
  formerMeaning,
  type InternetAddress,
  wholeOf,
} from "./address.ts";
import { BindError } from "./bind_error.ts";
import type { Held } from "./held.ts";
import { insistOnFree, listen } from "./listen.ts";
import type { SocketOptions } from "./socket_options.ts";

/** An address to hold. */
export interface Wanted {
  address: Address;
  /** Another address that the same words meant to an earlier version: its socket will do, if it is held. */
  former?: Address | undefined;
  backlog?: number;
  options?: SocketOptions;
}

/** An address that is wanted, with the backlog and the options that go with it. */
export function wantedOf(address: Address, parts: AddressParts): Wanted {
  const { backlog, options } = parts;
  return {
    address,
    former: formerMeaning(parts),
    ...(backlog !== undefined && { backlog }),
    ...(options && { options }),
  };
}

/**
 * Binds a socket.
 * @param held addresses of the sockets that this process holds: one of them may be in its way
 * @throws {BindError}
 */
export function listenFor(
  { address, backlog, options }: Wanted & { backlog: number },
  held: () => Address[],
): Held {
  try {
    if (address.transport !== "unix" && address.share) insistOnGroup(address, options, held());
    return { ...listen(address, backlog, options), backlog, since: Date.now() };
  } catch (error) {
    if (!(error instanceof BindError) || error.code !== "EADDRINUSE") throw error;
    const own = held().find((one) => overlap(one, address));
    throw own === undefined ? error : overlapping(address, own, error);
  }
}

/** Makes sure that a share is free, since the kernel binds sockets that share an address beside each other. */
function insistOnGroup(
  address: InternetAddress,
  options: SocketOptions | undefined,
  held: readonly Address[],
): void {
  const whole = formatAddress(wholeOf(address));
  const others = held.filter((other) => formatAddress(wholeOf(other)) === whole);
  const other = others.find((one) => overlap(one, address));
  if (other !== undefined) throw overlapping(address, other);
  // For the first share the whole address must be free.
  if (others.length === 0) insistOnFree(address, options);
}

/** Whether the kernel lets one process at a time listen on either of two addresses. */
export function overlap(a: Address, b: Address): boolean {
  if (a.transport === "unix" || b.transport === "unix") {
    return formatAddress(a) === formatAddress(b);
  }
  if (a.transport !== b.transport || a.port !== b.port) return false;
  if (a.interface && b.interface && a.interface !== b.interface) return false;
  if (areShares(a, b)) return a.share === b.share;
  if (a.family === "dual" || b.family === "dual") return true;
  const isWildcard = [a.host, b.host].some((host) => host === "0.0.0.0" || host === "::");
  return a.family === b.family && (isWildcard || a.host === b.host);
}

/** Whether two sockets divide the connections of one address among them. */
function areShares(a: InternetAddress, b: InternetAddress): boolean {
  const count = ({ share = "" }: InternetAddress) => share.replace(/.*\//, "");
  return a.share !== undefined && count(a) === count(b) &&
    formatAddress(wholeOf(a)) === formatAddress(wholeOf(b));
}

function overlapping(address: Address, held: Address, cause?: unknown): BindError {
  const why = `it overlaps ${formatAddress(held)}, which is held already`;
  return new BindError(formatAddress(address), "EADDRINUSE", why, cause, true);
}
