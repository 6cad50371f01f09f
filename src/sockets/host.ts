/** Hosts of Internet addresses: numbers, as people write them, and names. */

import { formatHost, type InetAddress, lookup, parseHost } from "../../ffi/sockaddr.ts";
import { messageOf, UserError } from "../errors.ts";

/** A host in numbers. */
export interface NumericHost {
  host: string;
  family: "inet" | "inet6";
}

/** Four decimal numbers up to 255 without leading zeros, as inet_pton(3) takes them. */
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

/** A host that is written in numbers, or means every IPv4 address; undefined for another. */
export function numericHost(host: string): NumericHost | undefined {
  if (host === "" || host === "*") return { host: "0.0.0.0", family: "inet" };
  if (IPV4.test(host)) return { host, family: "inet" };
  if (host.includes("\0")) return undefined;
  const bytes = parseHost("inet6", withoutBrackets(host));
  if (bytes === undefined) return undefined;
  return { host: formatHost("inet6", new Uint8Array(bytes)), family: "inet6" };
}

/**
 * Looks a name up.
 * @returns its first address
 * @throws {UserError} when it has none
 */
export async function lookupHost(name: string): Promise<NumericHost> {
  let found: InetAddress;
  try {
    found = await lookup(withoutBrackets(name), 0);
  } catch (error) {
    throw new UserError(`cannot look up the host "${name}": ${messageOf(error)}`);
  }
  if (found.family === "inet" || found.scope === 0) {
    return { host: found.host, family: found.family };
  }
  return { host: `${found.host}%${found.scope}`, family: "inet6" };
}

function withoutBrackets(host: string): string {
  return host.startsWith("[") && host.endsWith("]") ? host.slice(1, -1) : host;
}
