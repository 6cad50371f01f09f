/**
 * Addresses of listening sockets, as people write them.
 *
 * | written                     | means                                   |
 * | --------------------------- | --------------------------------------- |
 * | `:80`, `0.0.0.0:80`         | every IPv4 address, as HAProxy reads it |
 * | `*:80`                      | the same                                |
 * | `[::]:80`, `[::1]:80`       | IPv6 only                               |
 * | `[::]:80,v4v6`              | one socket for both                     |
 * | `localhost:80`              | the name's first address, looked up once |
 * | `udp:0.0.0.0:443`           | a UDP socket                            |
 * | `unix:/run/site.sock`       | a UNIX stream socket                    |
 * | `unix:@site`                | the same in the abstract namespace      |
 * | `abns@site`                 | the same, its name filled up with zeros |
 * @module
 */

import { MAX_UNIX_PATH } from "../../ffi/sockaddr.ts";
import { UserError } from "../errors.ts";
import { lookupHost, numericHost } from "./host.ts";
import {
  formatOptions,
  insistOnOptions,
  looksLikeOption,
  readOptions,
  type SocketOptions,
  splitOptions,
} from "./socket_options.ts";

/** An address whose host is numeric. */
export type Address = InternetAddress | UnixAddress;

/** The address of a TCP or UDP socket. */
export interface InternetAddress {
  /** What it speaks. */
  transport: "tcp" | "udp";
  /** Numeric; `*` for both families at once. */
  host: string;
  /** IPv4, IPv6 alone, or one socket for both. */
  family: "inet" | "inet6" | "dual";
  /** From 0 to 65535. */
  port: number;
  /** The network interface, if the socket is for one alone. */
  interface?: string;
  /** Which of the sockets that share the address it is, and of how many, as in `1/4` (SO_REUSEPORT). */
  share?: string;
}

/** The address of a UNIX stream socket. */
export interface UnixAddress {
  /** What it speaks. */
  transport: "unix";
  /** Absolute; or `@` and a name in the abstract namespace (unix(7)), which has no file. */
  path: string;
  /**
   * An abstract name that is filled up with zeros to the length of a socket address: another name than
   * the same without them. HAProxy's `abns@` means this one, its `abnsz@` and most other programs the
   * one without.
   */
  padded?: true;
}

/** How a written address of a UNIX socket begins: it has no port. */
const PADDED = "abns@";
const UNIX = "unix:";

/** An address in the parts of a bind request. */
export interface AddressParts {
  /** With `udp:`, `unix:` or `abns@` before it when it is not TCP. */
  address: string;
  /** Absent for a UNIX socket. */
  port?: number;
  /** Length of the accept queue, in connections. */
  backlog?: number;
  /** The other options. */
  options?: SocketOptions;
}

/**
 * Splits a written address, with options or without.
 * @throws {UserError} when it is malformed
 */
export function splitAddress(text: string): AddressParts {
  const { address, options: { backlog, ...options } } = splitOptions(text);
  const rest = {
    ...(typeof backlog === "number" && { backlog }),
    ...(Object.keys(options).length > 0 && { options }),
  };
  if (isUnix(address)) return { address, ...rest };
  const colon = address.lastIndexOf(":");
  const port = colon < 0 ? undefined : parsePort(address.slice(colon + 1));
  if (port === undefined) {
    const item = address.slice(address.indexOf(",") + 1).trim();
    if (item !== address && looksLikeOption(item)) {
      readOptions({ [item.replace(/=.*/s, "")]: true });
    }
    const isApart = address === "" || address.includes("=") && looksLikeOption(address);
    const hint = isApart
      ? "; options follow it after a comma, without a space, as in :80,backlog=9"
      : parsePort(address) === undefined
      ? ""
      : `; did you mean ":${address}"?`;
    throw malformed(text, `an address is HOST:PORT, such as :80 or [::1]:80${hint}`);
  }
  return { address: address.slice(0, colon), port, ...rest };
}

/** Writes an address as text, without its backlog. */
export function joinParts({ address, port, options = {} }: AddressParts): string {
  return (port === undefined ? address : `${address}:${port}`) + formatOptions(options);
}

/**
 * Understands the parts of an address, and looks a host name up.
 * @returns a promise for a host name alone: a config may have thousands of addresses, which need none
 * @throws {UserError} when it is malformed, or the name has no address
 */
export function resolveAddress(parts: AddressParts): Address | Promise<Address> {
  const numeric = numericAddress(parts);
  if (numeric !== undefined) return numeric;
  const { transport, host } = transportOf(parts.address);
  return lookupHost(host).then((found) =>
    withOptions({ transport, ...found, port: parts.port ?? 0 }, parts)
  );
}

/**
 * Understands the parts of an address, and looks nothing up.
 * @returns undefined for a host name
 * @throws {UserError} when it is malformed
 */
export function numericAddress(parts: AddressParts): Address | undefined {
  const { address, port } = parts;
  const written = port === undefined ? address : `${address}:${port}`;
  if (isUnix(address)) return unixAddress(address, parts.options);
  if (port === undefined || !isPort(port)) throw malformed(written, "a port is 0 to 65535");
  const { transport, host } = transportOf(address);
  const numeric = numericHost(host);
  if (numeric !== undefined) return withOptions({ transport, ...numeric, port }, parts);
  if (!/^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$/.test(host) && !host.includes("%")) {
    throw malformed(written, `"${host}" is neither an IP address nor a host name`);
  }
  if (/^[0-9.]+$/.test(host)) throw malformed(written, `"${host}" is not an IPv4 address`);
  return undefined;
}

/** Adds those options that are part of an address: with `v4v6` it is another one than without. */
function withOptions(address: InternetAddress, parts: AddressParts): InternetAddress {
  const { options = {} } = parts;
  insistOnOptions(options, address.transport);
  const { reuseport, interface: device } = options;
  if (typeof reuseport === "number") {
    const why =
      `reuseport=${reuseport} names ${reuseport} sockets, of which reuseport=1/${reuseport} is one`;
    throw malformed(joinParts(parts), why);
  }
  return {
    ...inFamily(address, parts),
    ...(typeof device === "string" && { interface: device }),
    ...(reuseport !== undefined && { share: String(reuseport) }),
  };
}

function inFamily(address: InternetAddress, parts: AddressParts): InternetAddress {
  const { v4v6, v6only } = parts.options ?? {};
  if (v4v6 === undefined && v6only === undefined) return address;
  if (v4v6 && v6only) throw malformed(joinParts(parts), "v4v6 is the contrary of v6only");
  if (address.family !== "inet6" || v4v6 && address.host !== "::") {
    const name = v4v6 ? "v4v6" : "v6only";
    throw malformed(joinParts(parts), `${name} goes with [::], as in [::]:${address.port},${name}`);
  }
  return v4v6 ? { ...address, host: "*", family: "dual" } : address;
}

/**
 * What a host `*` meant to the first version of this program: one socket for both families. Whoever still
 * holds such a socket gives it to those who ask for a `*`.
 */
export function formerMeaning({ address, port = 0 }: AddressParts): InternetAddress | undefined {
  const { transport, host } = transportOf(address);
  return host === "*" ? { transport, host, family: "dual", port } : undefined;
}

/**
 * The one way to write an address: equal text means the same socket.
 *
 * @example Two ways to write one address
 * ```ts
 * import { formatAddress, parseAddress } from "@multibinder/multibinder";
 *
 * console.log(formatAddress(parseAddress("*:80")) === formatAddress(parseAddress(":80"))); // true
 * ```
 */
export function formatAddress(address: Address): string {
  if (address.transport === "unix") {
    return address.padded ? `${PADDED}${address.path.slice(1)}` : `${UNIX}${address.path}`;
  }
  return joinParts(toParts(address));
}

/** Whether a written address is that of a UNIX socket, which has no port. */
export function isUnix(written: string): boolean {
  return written.startsWith(UNIX) || written.startsWith(PADDED);
}

/** Whether an address is that of a UNIX socket with a file. */
export function hasFile(address: Address): address is UnixAddress & { path: `/${string}` } {
  return address.transport === "unix" && address.path.startsWith("/");
}

/** The address that several sockets share, from that of one of them; any other address as it is. */
export function wholeOf(address: Address): Address {
  if (address.transport === "unix" || address.share === undefined) return address;
  const { share: _, ...whole } = address;
  return whole;
}

/** An address as a bind request has it. */
export function toParts(address: Address): AddressParts {
  if (address.transport === "unix") return { address: formatAddress(address) };
  const { transport, family, port, share, interface: device } = address;
  const options: SocketOptions = {
    ...(family === "dual" && { v4v6: true }),
    ...(device !== undefined && { interface: device }),
    ...(share !== undefined && { reuseport: share }),
  };
  const host = family === "inet" ? address.host : family === "dual" ? "[::]" : `[${address.host}]`;
  return {
    address: transport === "udp" ? `udp:${host}` : host,
    port,
    ...(Object.keys(options).length > 0 && { options }),
  };
}

/** A port number from text or a JSON value; undefined when it is none. */
export function parsePort(value: unknown): number | undefined {
  const port = typeof value === "string" && /^\d{1,5}$/.test(value) ? Number(value) : value;
  return isPort(port) ? port : undefined;
}

function isPort(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 65535;
}

function transportOf(address: string): { transport: "tcp" | "udp"; host: string } {
  return address.startsWith("udp:")
    ? { transport: "udp", host: address.slice("udp:".length) }
    : { transport: "tcp", host: address };
}

function unixAddress(written: string, options: SocketOptions = {}): UnixAddress {
  insistOnOptions(options, "unix");
  const address = unixAddressOf(written);
  const [name] = Object.keys(options);
  if (name === undefined || hasFile(address)) return address;
  throw malformed(written, `${name} is for the file of a UNIX socket, and this one has none`);
}

function unixAddressOf(written: string): UnixAddress {
  if (written.startsWith(PADDED)) {
    return { ...abstractAddress(`@${written.slice(PADDED.length)}`, written), padded: true };
  }
  const text = written.slice(UNIX.length);
  if (text.startsWith("@")) return abstractAddress(text, written);
  const path = text.replace(/\/(\.?\/)+/g, "/");
  if (!path.startsWith("/")) {
    const why = "a UNIX socket has an absolute path, or a name after an @";
    throw malformed(written, why);
  }
  if (path.includes("\0")) throw malformed(written, "a path has no NUL");
  // It would lead out of the folder that a policy allows.
  if (path.split("/").includes("..")) throw malformed(written, `the path has no ".."`);
  const length = new TextEncoder().encode(path).length;
  if (length > MAX_UNIX_PATH) {
    throw malformed(written, `a UNIX socket's path has at most ${MAX_UNIX_PATH} bytes`);
  }
  return { transport: "unix", path };
}

function abstractAddress(path: string, written: string): UnixAddress {
  if (path === "@") throw malformed(written, "a name follows the @");
  if (path.includes("\0")) throw malformed(written, "a name has no NUL");
  if (new TextEncoder().encode(path).length > MAX_UNIX_PATH) {
    throw malformed(written, `a name has at most ${MAX_UNIX_PATH - 1} bytes`);
  }
  return { transport: "unix", path };
}

/** The error for an address that cannot be understood. */
export function malformed(written: string, why: string): UserError {
  return new UserError(`malformed address "${written}": ${why}`);
}
