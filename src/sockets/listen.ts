/** Making a listening socket, and saying why it could not be made. */

import {
  AF_UNIX,
  IPPROTO_IPV6,
  IPV6_V6ONLY,
  SO_ACCEPTCONN,
  SO_REUSEADDR,
  SO_TYPE,
  SOCK_DGRAM,
  SOCK_STREAM,
  SOL_SOCKET,
} from "../../ffi/constants.ts";
import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { FAMILIES, MAX_UNIX_PATH, type SocketAddress } from "../../ffi/sockaddr.ts";
import {
  bindSocket,
  boundAddress,
  createSocket,
  getOption,
  listenSocket,
  setOption,
} from "../../ffi/socket.ts";
import {
  type Address,
  formatAddress,
  hasFile,
  type InternetAddress,
  type UnixAddress,
} from "./address.ts";
import { UserError } from "../errors.ts";
import { portHolder } from "./port_holder.ts";
import { type FileId, isSocket, listenAtPath, whyTaken } from "./unix_path.ts";

export { MAX_BACKLOG } from "./socket_options.ts";

/** The original's default length of the accept queue; the kernel caps it at net.core.somaxconn. */
export const DEFAULT_BACKLOG = 1000;

/** Milliseconds that searches for the holders of ports may take at once, and their share of the time. */
const MAX_SEARCH = 2000;
const SEARCH_SHARE = 0.1;

/** A socket could not be bound. */
export class BindError extends UserError {
  override readonly name = "BindError";

  /**
   * An address and why it cannot be had.
   * @param code errno's name
   * @param lasts whether it is in use by what nobody hands back
   * @param wanted the address; undefined when there is nobody to look for who has it
   */
  constructor(
    readonly address: string,
    readonly code: string,
    why: string,
    cause: unknown,
    readonly lasts = false,
    readonly wanted?: Address,
  ) {
    super(`${address}: ${why} (${code})`, { cause });
  }
}

/**
 * Binds a listening socket (a bound one for UDP), in the blocking mode, close-on-exec.
 * @param backlog length of the accept queue
 * @returns the socket, its address with the port that the kernel chose if 0 was asked for, and the file
 *   of a UNIX socket, which the caller removes in the end
 * @throws {BindError}
 */
export function listen(
  address: Address,
  backlog: number,
): { fd: Fd; address: Address; file?: FileId } {
  let fd: Fd | undefined;
  let file: FileId | undefined;
  try {
    fd = createSocket(familyOf(address), address.transport === "udp" ? SOCK_DGRAM : SOCK_STREAM);
    if (address.transport === "unix") {
      if (hasFile(address)) file = listenAtPath(fd, address.path, backlog);
      else bindSocket(fd, toSocketAddress(address));
    } else {
      // On UDP this option would let a stranger share the port.
      if (address.transport === "tcp") setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
      if (address.family !== "inet") {
        setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, address.family === "dual" ? 0 : 1);
      }
      bindSocket(fd, toSocketAddress(address));
    }
    if (address.transport !== "udp" && file === undefined) listenSocket(fd, backlog);
    return { fd, address: withBoundPort(address, fd), ...(file && { file }) };
  } catch (error) {
    fd?.close();
    if (error instanceof SystemError) throw explain(address, error);
    throw error;
  }
}

/**
 * What a socket that somebody else has bound listens on.
 * @returns undefined for a socket that does not listen (UDP: is not bound), or is none of ours
 * @throws {SystemError} ENOTSOCK
 */
export function listeningAddress(fd: Fd): Address | undefined {
  const type = getOption(fd, SOL_SOCKET, SO_TYPE);
  const listens = type === SOCK_DGRAM || getOption(fd, SOL_SOCKET, SO_ACCEPTCONN) === 1;
  const bound = boundAddress(fd);
  if (!listens || bound === undefined) return undefined;
  if (bound.family === "unix") {
    return type === SOCK_STREAM ? unixAddress(bound.path) : undefined;
  }
  const transport = type === SOCK_DGRAM ? "udp" : "tcp";
  const { host, port } = bound;
  if (port === 0) return undefined;
  if (bound.family === "inet") return { transport, family: "inet", host, port };
  // It would serve an address that is written, and bound, in another way.
  if (host.startsWith("::ffff:")) return undefined;
  if (host === "::" && getOption(fd, IPPROTO_IPV6, IPV6_V6ONLY) === 0) {
    return { transport, family: "dual", host: "*", port };
  }
  const scoped = bound.scope === 0 ? host : `${host}%${bound.scope}`;
  return { transport, family: "inet6", host: scoped, port };
}

/**
 * The user who made a socket: its inode has that owner, whoever holds it by now.
 * @returns the number of the user
 */
export function makerOf(fd: Fd): number {
  return Deno.statSync(`/proc/self/fd/${fd.number}`).uid ?? -1;
}

function familyOf(address: Address): number {
  if (address.transport === "unix") return AF_UNIX;
  return FAMILIES[address.family === "dual" ? "inet6" : address.family];
}

/** From the path that the kernel tells: an abstract name begins with a NUL. */
function unixAddress(path: string): UnixAddress | undefined {
  if (!path.startsWith("\0")) return { transport: "unix", path };
  const name = path.slice(1).replace(/\0+$/, "");
  const address: UnixAddress = { transport: "unix", path: `@${name}` };
  if (path.length > name.length + 1) address.padded = true;
  // Another program's name may be bytes that our text cannot hold, or have a NUL or two at its end.
  const isOurs = name !== "" && unixPath(address) === path && !name.includes("\0");
  return isOurs ? address : undefined;
}

/** As the kernel has it. */
function unixPath({ path, padded }: UnixAddress): string {
  if (!path.startsWith("@")) return path;
  const zeros = MAX_UNIX_PATH + 1 - new TextEncoder().encode(path).length;
  return `\0${path.slice(1)}${padded ? "\0".repeat(zeros) : ""}`;
}

function toSocketAddress(address: Address): SocketAddress {
  if (address.transport === "unix") return { family: "unix", path: unixPath(address) };
  const { port } = address;
  if (address.family === "inet") return { family: "inet", host: address.host, port };
  const [host = "", scope = "0"] = address.host.split("%");
  if (address.family === "dual") return { family: "inet6", host: "::", port, scope: 0 };
  return { family: "inet6", host, port, scope: Number(scope) };
}

function withBoundPort(address: Address, fd: Fd): Address {
  if (address.transport === "unix" || address.port !== 0) return address;
  const bound = boundAddress(fd);
  return bound === undefined || bound.family === "unix"
    ? address
    : { ...address, port: bound.port };
}

function explain(address: Address, error: SystemError): BindError {
  const { code } = error;
  const why = reason(address, error) ?? error.message.replace(` (${code})`, "");
  const lasts = hasFile(address) && code === "EADDRINUSE" && !isSocket(address.path);
  return new BindError(formatAddress(address), code, why, error, lasts, address);
}

/** Milliseconds that searches for the holder of a port may still take, as of when; and the last one. */
const search = { credit: MAX_SEARCH, at: 0, last: Promise.resolve<unknown>(undefined) };

/**
 * Says of an address in use who holds it, while that may be searched for: it means to look at every descriptor
 * of the machine, and clients that ask for such ports all the time must not have us do nothing else.
 * @param pause called often; what it returns is waited for
 */
export async function namingHolder(
  error: BindError,
  pause?: () => Promise<void> | undefined,
): Promise<BindError> {
  const { code, lasts, wanted } = error;
  if (code !== "EADDRINUSE" || lasts || wanted === undefined) return error;
  const why = wanted.transport === "unix"
    ? hasFile(wanted) ? whyTaken(wanted.path) : undefined
    : await holderOf(wanted, pause);
  return why === undefined ? error : new BindError(error.address, code, why, error.cause);
}

async function holderOf(
  wanted: InternetAddress,
  pause?: () => Promise<void> | undefined,
): Promise<string | undefined> {
  // One at a time: those who wait find how much time there is left after it.
  const found = search.last.then(() => searchFor(wanted, pause));
  search.last = found.catch(() => {});
  return await found;
}

async function searchFor(
  wanted: InternetAddress,
  pause?: () => Promise<void> | undefined,
): Promise<string | undefined> {
  const start = performance.now();
  search.credit = Math.min(MAX_SEARCH, search.credit + SEARCH_SHARE * (start - search.at));
  search.at = start;
  if (search.credit <= 0) return undefined;
  const holder = await portHolder(wanted, pause);
  search.credit -= performance.now() - start;
  return holder && `the address is in use by ${holder.command} (pid ${holder.pid})`;
}

/** In better words than the kernel's, if there are any. */
function reason(address: Address, error: SystemError): string | undefined {
  if (hasFile(address)) return reasonAtPath(address.path, error);
  if (address.transport === "unix") {
    return error.code === "EADDRINUSE" ? "another process has that name" : undefined;
  }
  switch (error.code) {
    case "EADDRINUSE":
      return "the address is in use";
    case "EADDRNOTAVAIL":
      return "this machine has no such address; `ip address` lists its own";
    case "EACCES":
      return "a port this low needs root, CAP_NET_BIND_SERVICE, or a lower " +
        "net.ipv4.ip_unprivileged_port_start";
    case "EINVAL":
      if (/^fe[89ab].:[^%]*$/.test(address.host)) {
        return `a link-local address needs its interface, as in [${address.host}%eth0]`;
      }
      if (address.host.startsWith("::ffff:")) {
        return `write it as the IPv4 address, ${address.host.slice("::ffff:".length)}`;
      }
  }
  return undefined;
}

function reasonAtPath(path: string, error: SystemError): string | undefined {
  switch (error.code) {
    case "EADDRINUSE":
      return isSocket(path) ? "the address is in use" : whyTaken(path);
    case "EACCES":
      return "no permission to create the socket in that folder";
    case "ENOENT":
      return "its folder does not exist";
    case "EAGAIN":
      return error.syscall === "flock" ? "another program is just being started there" : undefined;
  }
  return undefined;
}
