/** What the kernel says about UNIX sockets (sock_diag(7), linux/unix_diag.h). */

import {
  AF_NETLINK,
  AF_UNIX,
  NETLINK_SOCK_DIAG,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  SOCK_DIAG_BY_FAMILY,
  SOCK_NONBLOCK,
  SOCK_RAW,
  TCP_LISTEN,
  UDIAG_SHOW_RQLEN,
  UDIAG_SHOW_VFS,
  UNIX_DIAG_RQLEN,
  UNIX_DIAG_VFS,
} from "./constants.ts";
import { check, checkNonBlocking, SystemError } from "./errno.ts";
import type { Fd } from "./fd.ts";
import { LAYOUT } from "./layout.ts";
import { libc } from "./libc.ts";
import { Struct } from "./memory.ts";
import { createSocket } from "./socket.ts";

/** A UNIX socket's accept queue: connections that wait, and how many may. */
export interface UnixQueue {
  inode: number;
  length: number;
  limit: number;
}

/** More than the kernel puts into one answer (netlink_recvmsg in net/netlink/af_netlink.c: 32 KiB). */
const ANSWER = 65_536;

/**
 * The accept queues of the UNIX sockets that listen in this network namespace, read as they are asked for: an
 * answer of the kernel has some hundred.
 * @throws {SystemError} where the kernel was built without this, or a filter of system calls keeps it away
 */
export function* unixQueues(): Generator<UnixQueue> {
  const { nlmsghdr } = LAYOUT;
  using netlink = createSocket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
  const request = requestForAll();
  check("write", () => libc().write(netlink.number, request.bytes, BigInt(request.bytes.length)));
  const answer = new Struct(ANSWER);
  for (;;) {
    const length = checkNonBlocking(
      "read",
      () => libc().read(netlink.number, answer.bytes, BigInt(ANSWER)),
    );
    if (length === undefined || length === 0) return;
    for (let at = 0; at + nlmsghdr.size <= length;) {
      const type = answer.i16(at + nlmsghdr.nlmsg_type);
      if (type === NLMSG_DONE) return;
      if (type === NLMSG_ERROR) {
        throw new SystemError("sock_diag", -answer.i32(at + nlmsghdr.size));
      }
      const end = at + answer.u32(at + nlmsghdr.nlmsg_len);
      const found = queueIn(answer, at + nlmsghdr.size, end);
      if (found) yield found;
      at = aligned(end);
    }
  }
}

function requestForAll(): Struct {
  return requestFor(NLM_F_REQUEST | NLM_F_DUMP, UDIAG_SHOW_RQLEN)
    .setI32(LAYOUT.nlmsghdr.size + LAYOUT.unix_diag_req.udiag_states, 1 << TCP_LISTEN);
}

function requestFor(flags: number, show: number): Struct {
  const { nlmsghdr, unix_diag_req } = LAYOUT;
  const size = nlmsghdr.size + unix_diag_req.size;
  const at = nlmsghdr.size;
  // The family is one byte, and the next one, the protocol, is 0.
  return new Struct(size)
    .setI32(nlmsghdr.nlmsg_len, size)
    .setI16(nlmsghdr.nlmsg_type, SOCK_DIAG_BY_FAMILY)
    .setI16(nlmsghdr.nlmsg_flags, flags)
    .setI16(at + unix_diag_req.sdiag_family, AF_UNIX)
    .setI32(at + unix_diag_req.udiag_show, show);
}

/** Reads one socket: a struct unix_diag_msg, and attributes after it. */
function queueIn(answer: Struct, at: number, end: number): UnixQueue | undefined {
  const { unix_diag_msg, unix_diag_rqlen } = LAYOUT;
  const inode = answer.u32(at + unix_diag_msg.udiag_ino);
  const value = attributeIn(answer, at, end, UNIX_DIAG_RQLEN);
  return value === undefined ? undefined : {
    inode,
    length: answer.u32(value + unix_diag_rqlen.udiag_rqueue),
    limit: answer.u32(value + unix_diag_rqlen.udiag_wqueue),
  };
}

/** Where the value of an attribute of one socket is. */
function attributeIn(answer: Struct, at: number, end: number, type: number): number | undefined {
  const { nlattr, unix_diag_msg } = LAYOUT;
  for (let attribute = at + unix_diag_msg.size; attribute + nlattr.size <= end;) {
    const length = answer.i16(attribute + nlattr.nla_len);
    if (length < nlattr.size) return undefined;
    if (answer.i16(attribute + nlattr.nla_type) === type) return attribute + nlattr.size;
    attribute = aligned(attribute + length);
  }
  return undefined;
}

/**
 * The inode number of the file that a UNIX socket was bound to, whatever has become of the file since.
 * @returns its lowest 32 bits; undefined for a socket without a file, and where the kernel cannot be asked
 */
export function fileNumberOf(fd: Fd): number | undefined {
  const { nlmsghdr, unix_diag_req, unix_diag_vfs } = LAYOUT;
  const at = nlmsghdr.size;
  const request = requestFor(NLM_F_REQUEST, UDIAG_SHOW_VFS)
    .setI32(at + unix_diag_req.udiag_states, -1)
    .setI32(at + unix_diag_req.udiag_ino, Deno.statSync(`/proc/self/fd/${fd.number}`).ino ?? 0)
    // -1, twice: whatever cookie that socket has.
    .setI32(at + unix_diag_req.udiag_cookie, -1)
    .setI32(at + unix_diag_req.udiag_cookie + 4, -1);
  const answer = new Struct(ANSWER);
  try {
    using netlink = createSocket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
    check(
      "write",
      () => libc().write(netlink.number, request.bytes, BigInt(request.bytes.length)),
    );
    // The kernel answers within the write, so that this read does not wait.
    const end = check("read", () => libc().read(netlink.number, answer.bytes, BigInt(ANSWER)));
    if (answer.i16(nlmsghdr.nlmsg_type) !== SOCK_DIAG_BY_FAMILY) return undefined;
    const value = attributeIn(answer, at, end, UNIX_DIAG_VFS);
    return value === undefined ? undefined : answer.u32(value + unix_diag_vfs.udiag_vfs_ino);
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}

/** Messages and attributes begin at multiples of four (NLMSG_ALIGN, NLA_ALIGN). */
function aligned(offset: number): number {
  return (offset + 3) & ~3;
}
