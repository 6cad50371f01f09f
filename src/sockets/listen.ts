/** Making a listening socket, and seeing what one listens on. */

import {
  AF_UNIX,
  IPPROTO_IPV6,
  IPPROTO_MPTCP,
  IPV6_V6ONLY,
  SO_ACCEPTCONN,
  SO_REUSEADDR,
  SO_REUSEPORT,
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
  bindToInterface,
  boundAddress,
  boundInterface,
  createSocket,
  getOption,
  listenSocket,
  setOption,
} from "../../ffi/socket.ts";
import { type Address, hasFile, type UnixAddress, wholeOf } from "./address.ts";
import { explain } from "./bind_error.ts";
import { optionRefused, setOptions } from "./kernel_options.ts";
import type { SocketOptions } from "./socket_options.ts";
import { permissionsOf } from "./unix_permissions.ts";
import type { FileId } from "./place.ts";
import { listenAtPath } from "./unix_path.ts";

/** The original's default length of the accept queue; the kernel caps it at net.core.somaxconn. */
export const DEFAULT_BACKLOG = 1000;

/**
 * Binds a listening socket (a bound one for UDP), in the blocking mode, close-on-exec.
 * @param backlog length of the accept queue
 * @param dead a UDP socket that has the address and serves nobody any more: the new one is bound beside it
 * @returns the socket, its address with the port that the kernel chose if 0 was asked for, and the file
 *   of a UNIX socket, which the caller removes in the end
 * @throws {BindError}
 */
export function listen(
  address: Address,
  backlog: number,
  options: SocketOptions = {},
  dead?: Fd,
): { fd: Fd; address: Address; file?: FileId } {
  let fd: Fd | undefined;
  try {
    if (hasFile(address)) {
      fd = createSocket(AF_UNIX, SOCK_STREAM);
      const file = listenAtPath(fd, address.path, backlog, permissionsOf(options));
      return { fd, address, file };
    }
    fd = bound(address, backlog, options, dead);
    if (address.transport !== "udp") listenSocket(fd, backlog);
    return { fd, address: withBoundPort(address, fd) };
  } catch (error) {
    fd?.close();
    if (error instanceof SystemError) throw explain(address, error);
    throw error;
  }
}

/**
 * Makes sure that nobody has bound an address. The kernel binds sockets that share one beside those of any
 * other process of the same user, such as a wrapper that still has the sockets of an earlier binder.
 * @throws {BindError} EADDRINUSE
 */
export function insistOnFree(address: Address, options: SocketOptions = {}): void {
  try {
    bound(wholeOf(address), 1, options).close();
  } catch (error) {
    throw error instanceof SystemError ? explain(address, error) : error;
  }
}

/** A socket that is bound and does not listen yet. */
function bound(address: Address, backlog: number, options: SocketOptions, dead?: Fd): Fd {
  const fd = unbound(address, options);
  // With SO_REUSEADDR on both, the kernel binds the new one as well, and gives it what arrives.
  const beside = dead ? [dead, fd] : [];
  try {
    for (const one of beside) setOption(one, SOL_SOCKET, SO_REUSEADDR, 1);
    if (address.transport !== "unix") {
      // On UDP this option would let a stranger share the port.
      if (address.transport === "tcp") setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
      if (address.share !== undefined) setOption(fd, SOL_SOCKET, SO_REUSEPORT, 1);
      if (address.family !== "inet") {
        setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, address.family === "dual" ? 0 : 1);
      }
      if (address.interface !== undefined) toInterface(fd, address, address.interface);
      setOptions(fd, address, options, backlog);
    }
    bindSocket(fd, toSocketAddress(address));
    // From here on nobody can be bound beside it.
    if (dead) setOption(fd, SOL_SOCKET, SO_REUSEADDR, 0);
    return fd;
  } catch (error) {
    fd.close();
    throw error;
  }
}

function unbound(address: Address, { mptcp }: SocketOptions): Fd {
  const type = address.transport === "udp" ? SOCK_DGRAM : SOCK_STREAM;
  try {
    return createSocket(familyOf(address), type, mptcp ? IPPROTO_MPTCP : 0);
  } catch (error) {
    const isRefused = mptcp && error instanceof SystemError && error.code !== "EMFILE";
    throw isRefused ? optionRefused(address, "mptcp", mptcp, error) : error;
  }
}

function toInterface(fd: Fd, address: Address, name: string): void {
  try {
    bindToInterface(fd, name);
  } catch (error) {
    throw error instanceof SystemError ? optionRefused(address, "interface", name, error) : error;
  }
}

/**
 * What a socket that somebody else has bound listens on.
 * @returns undefined for a socket that does not listen (UDP: is not bound), or on no address that can be
 *   written here
 * @throws {SystemError} ENOTSOCK; EOPNOTSUPP for a kind of socket that has no such calls
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
  const device = boundInterface(fd);
  const rest = { transport, port, ...(device !== undefined && { interface: device }) } as const;
  if (bound.family === "inet") return { ...rest, family: "inet", host };
  // Such a socket serves an IPv4 address, which is written, and bound, in another way.
  if (host.startsWith("::ffff:")) return undefined;
  if (host === "::" && getOption(fd, IPPROTO_IPV6, IPV6_V6ONLY) === 0) {
    return { ...rest, family: "dual", host: "*" };
  }
  const scoped = bound.scope === 0 ? host : `${host}%${bound.scope}`;
  return { ...rest, family: "inet6", host: scoped };
}

/** As {@link listeningAddress}, of a descriptor that may be anything: undefined for what is no socket as well. */
export function addressIfListening(fd: Fd): Address | undefined {
  try {
    return listeningAddress(fd);
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
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

/** An address from the kernel's path, in which an abstract name begins with a NUL. */
function unixAddress(path: string): UnixAddress | undefined {
  if (!path.startsWith("\0")) return { transport: "unix", path };
  const name = path.slice(1).replace(/\0+$/, "");
  const address: UnixAddress = { transport: "unix", path: `@${name}` };
  if (path.length > name.length + 1) address.padded = true;
  // Another program's name may be bytes that our text cannot hold, or have a NUL or two at its end.
  const isOurs = name !== "" && unixPath(address) === path && !name.includes("\0");
  return isOurs ? address : undefined;
}

/** The path of an address as the kernel has it. */
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
