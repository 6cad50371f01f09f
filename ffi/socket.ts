/** Sockets: the system calls on them, as functions of an {@link Fd}. */

import { check, checkNonBlocking, SystemError } from "./errno.ts";
import {
  AF_UNIX,
  AF_UNSPEC,
  IPPROTO_TCP,
  SHUT_RD,
  SIOCOUTQ,
  SK_MEMINFO_DROPS,
  SK_MEMINFO_RCVBUF,
  SK_MEMINFO_RMEM_ALLOC,
  SK_MEMINFO_VARS,
  SO_BINDTODEVICE,
  SO_BINDTOIFINDEX,
  SO_COOKIE,
  SO_MEMINFO,
  SO_NETNS_COOKIE,
  SO_PEERCRED,
  SO_PEERGROUPS,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
  TCP_INFO,
} from "./constants.ts";
import { Fd } from "./fd.ts";
import { LAYOUT } from "./layout.ts";
import { libc } from "./libc.ts";
import { cString, Struct } from "./memory.ts";
import { decodeAddress, encodeAddress, type SocketAddress } from "./sockaddr.ts";

/**
 * socket(2), close-on-exec.
 * @param family AF_UNIX, AF_INET, AF_INET6 or AF_NETLINK
 * @param type SOCK_STREAM, SOCK_DGRAM or SOCK_RAW, with SOCK_NONBLOCK or not
 * @param protocol of the family; 0 for its own choice
 */
export function createSocket(family: number, type: number, protocol = 0): Fd {
  return new Fd(check("socket", () => libc().socket(family, type | SOCK_CLOEXEC, protocol)));
}

/** bind(2). */
export function bindSocket(fd: Fd, address: SocketAddress): void {
  const bytes = encodeAddress(address);
  check("bind", () => libc().bind(fd.number, bytes, bytes.length));
}

/**
 * listen(2); on a socket that listens already it changes the backlog.
 * @param backlog length of the accept queue; the kernel caps it at net.core.somaxconn
 */
export function listenSocket(fd: Fd, backlog: number): void {
  check("listen", () => libc().listen(fd.number, backlog));
}

/**
 * Connects to a UNIX socket. connect(2) on one never waits in the non-blocking mode: a full backlog is
 * EAGAIN.
 * @param type SOCK_STREAM or SOCK_DGRAM
 * @returns a non-blocking socket
 */
export function connectUnix(path: string, type: number = SOCK_STREAM): Fd {
  const fd = createSocket(AF_UNIX, type | SOCK_NONBLOCK);
  try {
    const bytes = encodeAddress({ family: "unix", path });
    check("connect", () => libc().connect(fd.number, bytes, bytes.length));
    return fd;
  } catch (error) {
    fd.close();
    throw error;
  }
}

/**
 * Who listens at the path of a UNIX stream socket, as the kernel tells those who connect. The socket is shut for
 * reading before it connects, so that nobody can send anything over it, such as descriptors whose close waits.
 */
export function listenerCredentials(path: string): Credentials {
  using fd = createSocket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK);
  shutDown(fd, SHUT_RD);
  const bytes = encodeAddress({ family: "unix", path });
  check("connect", () => libc().connect(fd.number, bytes, bytes.length));
  return peerCredentials(fd);
}

/**
 * Accepts one connection from a non-blocking listening socket.
 * @returns a non-blocking, close-on-exec socket, or undefined when none waits
 * @throws {SystemError} EMFILE, ENFILE, ENOBUFS, ENOMEM: the connection stays in the queue
 */
export function acceptSocket(fd: Fd): Fd | undefined {
  const number = checkNonBlocking(
    "accept4",
    () => libc().accept4(fd.number, null, null, SOCK_CLOEXEC | SOCK_NONBLOCK),
  );
  return number === undefined ? undefined : new Fd(number);
}

/** getsockname(2): the address a socket is bound to, undefined for a family other than ours. */
export function boundAddress(fd: Fd): SocketAddress | undefined {
  const bytes = new Uint8Array(LAYOUT.sockaddr_storage.size);
  const length = new Uint32Array([bytes.length]);
  check("getsockname", () => libc().getsockname(fd.number, bytes, length));
  return decodeAddress(bytes.slice(0, length[0]));
}

/** Whether a socket is connected to one peer, and receives from no other. */
export function isConnected(fd: Fd): boolean {
  const bytes = new Uint8Array(LAYOUT.sockaddr_storage.size);
  return libc().getpeername(fd.number, bytes, new Uint32Array([bytes.length])) === 0;
}

/**
 * Dissolves whatever connection a socket of the Internet families has, for all who share it: it is again as it
 * was after bind(2) (connect(2), AF_UNSPEC).
 */
export function disconnect(fd: Fd): void {
  const bytes = new Struct(LAYOUT.sockaddr_in.size).setI16(0, AF_UNSPEC).bytes;
  check("connect", () => libc().connect(fd.number, bytes, bytes.length));
}

/** Sets an integer option. */
export function setOption(fd: Fd, level: number, name: number, value: number): void {
  const bytes = new Int32Array([value]);
  check("setsockopt", () => libc().setsockopt(fd.number, level, name, bytes, 4));
}

/**
 * Has a socket take only what comes in through one network interface (SO_BINDTODEVICE, socket(7)).
 * @throws {SystemError} ENODEV
 */
export function bindToInterface(fd: Fd, name: string): void {
  const bytes = cString(name);
  check(
    "setsockopt",
    () => libc().setsockopt(fd.number, SOL_SOCKET, SO_BINDTODEVICE, bytes, bytes.length),
  );
}

/** The one interface of a socket; undefined when it takes what comes in through any. */
export function boundInterface(fd: Fd): string | undefined {
  // Asked first, since qemu takes the name for a number, and gives four bytes of anything where there is none.
  if (getOption(fd, SOL_SOCKET, SO_BINDTOIFINDEX) === 0) return undefined;
  const { bytes } = readOption(fd, SOL_SOCKET, SO_BINDTODEVICE, 16); // IFNAMSIZ of <net/if.h>
  return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0))) || undefined;
}

/** Reads an integer option. */
export function getOption(fd: Fd, level: number, name: number): number {
  LENGTH[0] = 4;
  VALUE[0] = 0;
  check("getsockopt", () => libc().getsockopt(fd.number, level, name, VALUE, LENGTH));
  return VALUE[0];
}

/**
 * A number that no other socket of this machine has had since it was started (SO_COOKIE, socket(7)): two
 * descriptors of one socket give the same.
 */
export function socketCookie(fd: Fd): bigint {
  return readOption(fd, SOL_SOCKET, SO_COOKIE, 8).u64(0);
}

/**
 * A number for the network namespace that a socket lives in (SO_NETNS_COOKIE).
 * @throws {SystemError} ENOPROTOOPT before Linux 5.14
 */
export function networkNamespace(fd: Fd): bigint {
  return readOption(fd, SOL_SOCKET, SO_NETNS_COOKIE, 8).u64(0);
}

/** Who is at the other end of a UNIX connection, as it was at connect(2). */
export interface Credentials {
  pid: number;
  uid: number;
  gid: number;
  /** Supplementary groups. */
  groups: readonly number[];
}

/** Asks the kernel who is at the other end (SO_PEERCRED, unix(7), and SO_PEERGROUPS of Linux 4.13). */
export function peerCredentials(fd: Fd): Credentials {
  const struct = readOption(fd, SOL_SOCKET, SO_PEERCRED, LAYOUT.ucred.size);
  return {
    pid: struct.i32(LAYOUT.ucred.pid),
    uid: struct.u32(LAYOUT.ucred.uid),
    gid: struct.u32(LAYOUT.ucred.gid),
    groups: peerGroups(fd),
  };
}

function peerGroups(fd: Fd): number[] {
  const length = new Uint32Array([4 * 64]);
  for (;;) {
    const groups = new Uint32Array((length[0] ?? 0) / 4);
    try {
      check(
        "getsockopt",
        () => libc().getsockopt(fd.number, SOL_SOCKET, SO_PEERGROUPS, groups, length),
      );
      return [...groups.subarray(0, (length[0] ?? 0) / 4)];
    } catch (error) {
      // The kernel has replaced our length by the one that it needs.
      if (!(error instanceof SystemError) || error.code !== "ERANGE") throw error;
    }
  }
}

/**
 * Ends a connection, whoever else has a descriptor of it. What the peer has sent can still be read.
 * @param how SHUT_WR: this end sends no more; SHUT_RD: the peer can send no more; SHUT_RDWR: both
 */
export function shutDown(fd: Fd, how: number): void {
  // It fails on a connection that is gone already.
  libc().shutdown(fd.number, how);
}

/** Whether the other end of a UNIX connection has read all that was sent (SIOCOUTQ), or is gone. */
export function isAllRead(fd: Fd): boolean {
  const length = new Int32Array(1);
  check("ioctl", () => libc().ioctl(fd.number, BigInt(SIOCOUTQ), length));
  return length[0] === 0;
}

/**
 * A listening TCP socket's accept queue, from TCP_INFO (Linux keeps the two numbers in tcpi_unacked
 * and tcpi_sacked of a listening socket: net/ipv4/tcp.c, tcp_get_info).
 * @returns connections waiting, and how many may wait
 */
export function acceptQueue(fd: Fd): { length: number; limit: number } {
  readOption(fd, IPPROTO_TCP, TCP_INFO, LAYOUT.tcp_info.size, ANSWER);
  return {
    length: ANSWER.u32(LAYOUT.tcp_info.tcpi_unacked),
    limit: ANSWER.u32(LAYOUT.tcp_info.tcpi_sacked),
  };
}

/**
 * A socket's receive queue and what it has dropped, from SO_MEMINFO (Linux 4.12).
 * @returns bytes received and not read yet, how many there may be, and how many connections (of a listening TCP
 *   socket) or datagrams (of a UDP socket) the kernel has dropped since it was made
 */
export function receiveMemory(fd: Fd): { used: number; limit: number; drops: number } {
  readOption(fd, SOL_SOCKET, SO_MEMINFO, 4 * SK_MEMINFO_VARS, ANSWER);
  return {
    used: ANSWER.u32(4 * SK_MEMINFO_RMEM_ALLOC),
    limit: ANSWER.u32(4 * SK_MEMINFO_RCVBUF),
    drops: ANSWER.u32(4 * SK_MEMINFO_DROPS),
  };
}

// Thousands of sockets are read one after the other, and a buffer for each call would cost more than the call.
const ANSWER = new Struct(LAYOUT.tcp_info.size);
const LENGTH = new Uint32Array(1);
const VALUE = new Int32Array(1);

function readOption(
  fd: Fd,
  level: number,
  name: number,
  size: number,
  struct: Struct = new Struct(size),
): Struct {
  LENGTH[0] = size;
  check("getsockopt", () => libc().getsockopt(fd.number, level, name, struct.bytes, LENGTH));
  return struct;
}
