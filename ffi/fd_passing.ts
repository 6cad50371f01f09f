/**
 * sendmsg(2) and recvmsg(2) on a connected UNIX socket, with file descriptors as ancillary data.
 *
 * On a stream the descriptors of one message travel with its first byte, and recvmsg never joins the
 * bytes of two messages that both carry some (unix(7)), so their order is kept.
 * @module
 */

import { checkNonBlocking } from "./errno.ts";
import {
  MSG_CMSG_CLOEXEC,
  MSG_CTRUNC,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  MSG_PEEK,
  SCM_CREDENTIALS,
  SCM_MAX_FD,
  SCM_RIGHTS,
  SOL_SOCKET,
} from "./constants.ts";
import { Fd } from "./fd.ts";
import { LAYOUT } from "./layout.ts";
import { libc } from "./libc.ts";
import { Struct } from "./memory.ts";

const { msghdr, iovec, cmsghdr, ucred } = LAYOUT;

// One of each is enough: the calls are synchronous, and nothing in them is used after a call.
const header = new Struct(msghdr.size);
const vector = new Struct(iovec.size);
const control = new Struct(align(cmsghdr.size + 4 * SCM_MAX_FD) + align(cmsghdr.size + ucred.size));

/**
 * Sends bytes, and with the first of them copies of descriptors.
 * @param bytes at least one
 * @param fds at most 253
 * @returns how many bytes went out (the descriptors went with them), undefined when it would block
 * @throws {RangeError} for more than 253 descriptors
 * @throws {SystemError} EPIPE, ECONNRESET when the peer is gone; ETOOMANYREFS, ENOMEM, ENOBUFS
 */
export function sendMessage(
  socket: Pick<Fd, "number">,
  bytes: Uint8Array<ArrayBuffer>,
  fds: readonly Fd[] = [],
): number | undefined {
  if (fds.length > SCM_MAX_FD) {
    throw new RangeError(`${fds.length} descriptors, at most ${SCM_MAX_FD} fit in a message`);
  }
  const used = cmsghdr.size + 4 * fds.length;
  if (fds.length > 0) {
    control.setU64(cmsghdr.cmsg_len, used);
    control.setI32(cmsghdr.cmsg_level, SOL_SOCKET).setI32(cmsghdr.cmsg_type, SCM_RIGHTS);
    fds.forEach((fd, index) => control.setI32(cmsghdr.size + 4 * index, fd.number));
  }
  prepare(bytes, fds.length > 0 ? align(used) : 0);
  return checkNonBlocking(
    "sendmsg",
    () => libc().sendmsg(socket.number, header.bytes, MSG_NOSIGNAL | MSG_DONTWAIT),
  );
}

/** Who sent a message, as the kernel says (unix(7), SCM_CREDENTIALS). */
export interface Sender {
  /** 0 for one outside of our pid namespace. */
  pid: number;
  uid: number;
}

/** What one recvmsg gave. No bytes means that the peer has closed. */
export interface Received {
  /** Bytes written to the buffer. */
  length: number;
  /** Close-on-exec, owned by the caller. */
  fds: Fd[];
  /** Descriptors were lost: at the descriptor limit, or more came than fit. */
  truncated: boolean;
  /** Of a socket with SO_PASSCRED. */
  sender?: Sender;
}

/**
 * Receives bytes into `buffer`, and the descriptors that came with them.
 * @returns undefined when it would block
 * @throws {SystemError} ECONNRESET
 */
export function receiveMessage(socket: Fd, buffer: Uint8Array<ArrayBuffer>): Received | undefined {
  return receiveWithFds(socket, buffer, 0);
}

/** As {@link receiveMessage}, but the message stays in the queue: the descriptors are copies. */
export function peekMessage(socket: Fd, buffer: Uint8Array<ArrayBuffer>): Received | undefined {
  return receiveWithFds(socket, buffer, MSG_PEEK);
}

function receiveWithFds(
  socket: Fd,
  buffer: Uint8Array<ArrayBuffer>,
  flags: number,
): Received | undefined {
  prepare(buffer, control.bytes.length);
  const length = checkNonBlocking(
    "recvmsg",
    () => libc().recvmsg(socket.number, header.bytes, flags | MSG_CMSG_CLOEXEC | MSG_DONTWAIT),
  );
  if (length === undefined) return undefined;
  return {
    length,
    ...ancillaryData(Number(header.u64(msghdr.msg_controllen))),
    truncated: isTruncated(),
  };
}

/** What {@link receiveBytes} gave. No bytes means that the peer has closed. */
export interface ReceivedBytes {
  /** Bytes written to the buffer. */
  length: number;
  /** Whether descriptors came with the bytes: then nothing was taken out of the queue, neither these nor those. */
  withFds: boolean;
}

/**
 * Receives bytes from a peer that should send no descriptors. Bytes that come with some stay in the queue: to
 * receive them without room for descriptors would close those, and might wait (see discard.ts). The socket must
 * have SO_OOBINLINE, or such a receive drops an urgent byte together with what came with it.
 * @returns undefined when it would block
 * @throws {SystemError} ECONNRESET
 */
export function receiveBytes(
  socket: Fd,
  buffer: Uint8Array<ArrayBuffer>,
): ReceivedBytes | undefined {
  const length = receiveWithoutFds(socket, buffer, MSG_PEEK);
  if (length === undefined) return undefined;
  const withFds = isTruncated();
  // Exactly the bytes that were looked at: the next one may come with descriptors.
  if (length > 0 && !withFds) receiveWithoutFds(socket, buffer.subarray(0, length), 0);
  return { length, withFds };
}

/**
 * Who sent the datagram that waits at a socket with SO_PASSCRED. The datagram stays in the queue, so that no
 * descriptor that came with it is received or closed.
 * @returns undefined when none waits
 */
export function peekSender(socket: Fd): { sender?: Sender; withFds: boolean } | undefined {
  const room = align(cmsghdr.size + ucred.size);
  if (receiveWithoutFds(socket, new Uint8Array(1), MSG_PEEK, room) === undefined) return undefined;
  const { sender } = ancillaryData(Number(header.u64(msghdr.msg_controllen)));
  return { withFds: isTruncated(), ...(sender && { sender }) };
}

function receiveWithoutFds(
  socket: Fd,
  buffer: Uint8Array<ArrayBuffer>,
  flags: number,
  controlLength = 0,
): number | undefined {
  prepare(buffer, controlLength);
  return checkNonBlocking(
    "recvmsg",
    () => libc().recvmsg(socket.number, header.bytes, flags | MSG_DONTWAIT),
  );
}

function prepare(bytes: Uint8Array<ArrayBuffer>, controlLength: number): void {
  vector.setPointer(iovec.iov_base, bytes).setU64(iovec.iov_len, bytes.length);
  header.setPointer(msghdr.msg_iov, vector.bytes).setU64(msghdr.msg_iovlen, 1);
  header.setPointer(msghdr.msg_control, controlLength > 0 ? control.bytes : null);
  header.setU64(msghdr.msg_controllen, controlLength).setI32(msghdr.msg_flags, 0);
}

/** Whether the message just received has more ancillary data than there was room for. */
function isTruncated(): boolean {
  return (header.i32(msghdr.msg_flags) & MSG_CTRUNC) !== 0;
}

function ancillaryData(controlLength: number): Pick<Received, "fds" | "sender"> {
  const fds: Fd[] = [];
  let sender: Sender | undefined;
  for (let at = 0; at + cmsghdr.size <= controlLength;) {
    const length = Number(control.u64(at + cmsghdr.cmsg_len));
    if (length < cmsghdr.size) break;
    const isOfSocket = control.i32(at + cmsghdr.cmsg_level) === SOL_SOCKET;
    const type = isOfSocket ? control.i32(at + cmsghdr.cmsg_type) : undefined;
    if (type === SCM_CREDENTIALS) {
      const data = at + cmsghdr.size;
      sender = { pid: control.i32(data + ucred.pid), uid: control.u32(data + ucred.uid) };
    } else if (type === SCM_RIGHTS) {
      for (let data = at + cmsghdr.size; data + 4 <= at + length; data += 4) {
        fds.push(new Fd(control.i32(data)));
      }
    }
    at += align(length);
  }
  return { fds, ...(sender && { sender }) };
}

/** CMSG_ALIGN of cmsg(3): to the size of a long. */
function align(length: number): number {
  return (length + 7) & ~7;
}
