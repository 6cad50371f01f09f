/** What came with an answer to a bind request: whether it is the socket that was asked for. */

import type { Fd } from "../../ffi/fd.ts";
import { UserError } from "../errors.ts";
import {
  type Address,
  type AddressParts,
  formatAddress,
  formerMeaning,
  numericAddress,
  wholeOf,
} from "../sockets/address.ts";
import { lackingOption } from "../sockets/kernel_options.ts";
import { addressIfListening } from "../sockets/listen.ts";

/**
 * Compares a socket with the address that was asked for. Of a host name only the binder can say what it
 * stands for; the rest must be right all the same.
 * @returns undefined when it is a listening socket (a bound one for UDP) of that address, else what it is
 */
export function mismatch(fd: Fd, asked: AddressParts): string | undefined {
  const found = addressIfListening(fd);
  if (found === undefined) return "something that is no listening socket";
  if (!isMeant(found, asked)) return `a socket of ${formatAddress(found)}`;
  const lacking = asked.options && lackingOption(fd, found, asked.options);
  return lacking && `a socket without ${lacking}: does it know of that option?`;
}

function isMeant(found: Address, asked: AddressParts): boolean {
  const exact = numeric(asked);
  const wanted = exact && wholeOf(exact);
  if (found.transport === "unix" || wanted?.transport === "unix") {
    return wanted !== undefined && formatAddress(found) === formatAddress(wanted);
  }
  const transport = asked.address.startsWith("udp:") ? "udp" : "tcp";
  if (found.transport !== transport) return false;
  // The kernel has chosen the port where none was named.
  if (asked.port !== 0 && found.port !== asked.port) return false;
  if (
    wanted === undefined || formatAddress({ ...wanted, port: found.port }) === formatAddress(found)
  ) {
    return true;
  }
  // The original's socket of [::] takes IPv4 connections as well, and that of a star did once.
  return found.family === "dual" && (wanted.host === "::" || formerMeaning(asked) !== undefined);
}

/** Undefined for a host name, and for what another binder may understand and we do not. */
function numeric(asked: AddressParts): Address | undefined {
  try {
    return numericAddress(asked);
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}
