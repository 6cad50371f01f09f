/** `struct sockaddr` of the three address families, to and from plain values. */

import { AF_INET, AF_INET6, AF_UNIX, AI_NUMERICHOST, SOCK_STREAM } from "./constants.ts";
import { LAYOUT } from "./layout.ts";
import { libc } from "./libc.ts";
import { cString, Struct } from "./memory.ts";

/** An address of the Internet families; `scope` is an interface index, 0 for none. */
export type InetAddress =
  | { family: "inet"; host: string; port: number }
  | { family: "inet6"; host: string; port: number; scope: number };

/** A socket address. `path` may begin with a NUL for Linux's abstract namespace. */
export type SocketAddress = InetAddress | { family: "unix"; path: string };

/** Longest path of a UNIX socket in bytes: sun_path is 108 with its NUL (unix(7)). */
export const MAX_UNIX_PATH = 107;

export const FAMILIES = { inet: AF_INET, inet6: AF_INET6, unix: AF_UNIX } as const;

/** The buffers of the lookups under way. */
const inFlight = new Set<readonly BufferSource[]>();
/** Lookups at once. The runtime has 32 threads for calls that wait, and poll(2) must always find one. */
const MAX_LOOKUPS = 4;
/** Lookups that wait for another to end. */
const turns: (() => void)[] = [];
const TEXT_LENGTH = 46; // INET6_ADDRSTRLEN of <netinet/in.h>

/** The bytes of a numeric IPv4 or IPv6 address, or undefined when the text is not one. */
export function parseHost(family: "inet" | "inet6", text: string): Uint8Array | undefined {
  if (text.includes("\0")) return undefined;
  const bytes = new Uint8Array(family === "inet" ? 4 : 16);
  return libc().inet_pton(FAMILIES[family], cString(text), bytes) === 1 ? bytes : undefined;
}

/** The canonical text (RFC 5952 for IPv6) of an address's bytes. */
export function formatHost(family: "inet" | "inet6", bytes: Uint8Array<ArrayBuffer>): string {
  const text = new Uint8Array(TEXT_LENGTH);
  libc().inet_ntop(FAMILIES[family], bytes, text, TEXT_LENGTH);
  return new TextDecoder().decode(text.subarray(0, text.indexOf(0)));
}

/**
 * Encodes an address.
 * @param address a path that begins with a NUL is a name in the abstract namespace, all of its bytes
 * @throws {RangeError} for a host that is not numeric, a port above 65535, a path that is empty, has more
 * than 107 bytes (108 in the abstract namespace), or a NUL otherwise
 */
export function encodeAddress(address: SocketAddress): Uint8Array<ArrayBuffer> {
  if (address.family === "unix") {
    const path = new TextEncoder().encode(address.path);
    const abstract = path[0] === 0;
    // A path ends in a NUL, for which there must be room; an abstract name does not.
    const room = MAX_UNIX_PATH + (abstract ? 1 : 0);
    if (path.length > room) {
      throw new RangeError(`path of ${path.length} bytes, at most ${room} fit`);
    }
    // The kernel would cut a path at its NUL, and read an empty one as the abstract name of no bytes.
    if (path.length === 0) throw new RangeError("the path is empty");
    if (!abstract && path.includes(0)) throw new RangeError("a NUL character in the path");
    const struct = new Struct(LAYOUT.sockaddr_un.sun_path + path.length + (abstract ? 0 : 1));
    struct.setI16(LAYOUT.sockaddr_un.sun_family, AF_UNIX);
    struct.bytes.set(path, LAYOUT.sockaddr_un.sun_path);
    return struct.bytes;
  }
  if (address.port !== (address.port & 0xffff)) {
    throw new RangeError(`${address.port} is not a port`);
  }
  const host = parseHost(address.family, address.host);
  if (host === undefined) throw new RangeError(`${address.host} is not a numeric address`);
  const layout = address.family === "inet" ? LAYOUT.sockaddr_in : LAYOUT.sockaddr_in6;
  // In both, the family is at offset 0 and the port, in network byte order, at 2.
  const struct = new Struct(layout.size).setI16(0, FAMILIES[address.family]);
  struct.bytes[2] = address.port >> 8;
  struct.bytes[3] = address.port & 0xff;
  if (address.family === "inet") {
    struct.bytes.set(host, LAYOUT.sockaddr_in.sin_addr);
  } else {
    struct.bytes.set(host, LAYOUT.sockaddr_in6.sin6_addr);
    struct.setI32(LAYOUT.sockaddr_in6.sin6_scope_id, address.scope);
  }
  return struct.bytes;
}

/** Decodes what getsockname filled in; undefined for a family that is none of the three. */
export function decodeAddress(bytes: Uint8Array<ArrayBuffer>): SocketAddress | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const family = view.getUint16(0, true);
  if (family === AF_UNIX) {
    const path = bytes.subarray(LAYOUT.sockaddr_un.sun_path);
    const end = path[0] === 0 ? path.length : path.indexOf(0);
    return {
      family: "unix",
      path: new TextDecoder().decode(end < 0 ? path : path.subarray(0, end)),
    };
  }
  const port = view.getUint16(2);
  if (family === AF_INET) {
    const at = LAYOUT.sockaddr_in.sin_addr;
    return { family: "inet", host: formatHost("inet", bytes.slice(at, at + 4)), port };
  }
  if (family === AF_INET6) {
    const at = LAYOUT.sockaddr_in6.sin6_addr;
    const scope = view.getUint32(LAYOUT.sockaddr_in6.sin6_scope_id, true);
    return { family: "inet6", host: formatHost("inet6", bytes.slice(at, at + 16)), port, scope };
  }
  return undefined;
}

/**
 * Looks a name up with the system's resolver (getaddrinfo(3)), on another thread.
 * @param name a host name, or a numeric address with a scope such as `fe80::1%eth0`
 * @param port put into the result
 * @returns the first address
 * @throws {Error} with the resolver's sentence
 */
export async function lookup(name: string, port: number): Promise<InetAddress> {
  const hints = new Struct(LAYOUT.addrinfo.size).setI32(LAYOUT.addrinfo.ai_socktype, SOCK_STREAM);
  if (name.includes("%")) hints.setI32(LAYOUT.addrinfo.ai_flags, AI_NUMERICHOST);
  const list = new BigUint64Array(1);
  const buffers = [cString(name), hints.bytes, list] as const;
  while (inFlight.size >= MAX_LOOKUPS) await new Promise<void>((resolve) => turns.push(resolve));
  // libc reads and writes these while JavaScript runs on: they must not be collected meanwhile.
  inFlight.add(buffers);
  const code = await libc().getaddrinfo(buffers[0], null, buffers[1], buffers[2]);
  inFlight.delete(buffers);
  turns.shift()?.();
  if (code !== 0) {
    const text = libc().gai_strerror(code);
    throw new Error(text === null ? `error ${code}` : Deno.UnsafePointerView.getCString(text));
  }
  const head = Deno.UnsafePointer.create(list[0] ?? 0n);
  if (head === null) throw new Error("no address");
  try {
    const entry = new Deno.UnsafePointerView(head);
    const data = Deno.UnsafePointer.create(entry.getBigUint64(LAYOUT.addrinfo.ai_addr));
    if (data === null) throw new Error("no address");
    const bytes = new Uint8Array(entry.getUint32(LAYOUT.addrinfo.ai_addrlen));
    Deno.UnsafePointerView.copyInto(data, bytes);
    const address = decodeAddress(bytes);
    if (address === undefined || address.family === "unix") throw new Error("no Internet address");
    return { ...address, port };
  } finally {
    libc().freeaddrinfo(head);
  }
}
