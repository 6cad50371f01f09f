/** Sending a message with descriptors over a non-blocking UNIX stream socket, in as many pieces as it takes. */

import { SCM_MAX_FD } from "../../ffi/constants.ts";
import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import type { sendMessage } from "../../ffi/fd_passing.ts";

/** Bytes to send, with the descriptors that go with the first of them. */
interface Chunk {
  bytes: Uint8Array<ArrayBuffer>;
  fds: readonly Fd[];
}

/** How a message is sent. */
export interface Sending {
  /** As {@link sendMessage}, on the socket. */
  send: (bytes: Uint8Array<ArrayBuffer>, fds: readonly Fd[]) => ReturnType<typeof sendMessage>;
  /** Waits until the socket takes more; throws when it is closed. */
  room: () => Promise<void>;
  /** Milliseconds to wait for what the kernel has run out of. */
  timeout: number;
  /** Descriptors in one sendmsg; by default as many as the kernel takes. */
  fdsAtOnce?: number | undefined;
}

/** Descriptors that were to be sent have been closed while there was no room for them; nothing was sent. */
export class GoneFds extends Error {
  override readonly name = "GoneFds";
}

/** Milliseconds until the next attempt to send what the kernel had no room for. */
const PAUSE = 50;

/**
 * Sends a message. More descriptors than one sendmsg takes go with parts of its bytes, so that the last has
 * arrived when the message is complete.
 * @param fds stay the caller's
 * @throws {GoneFds}
 * @throws {SystemError} EPIPE or ECONNRESET when the peer is gone; ETOOMANYREFS, ENOBUFS or ENOMEM when
 *   nothing could be sent, and another message may be
 */
export async function sendWhole(
  message: Uint8Array<ArrayBuffer>,
  fds: readonly Fd[],
  { send, room, timeout, fdsAtOnce = SCM_MAX_FD }: Sending,
): Promise<void> {
  let begun = false;
  for (const chunk of chunks(message, fds, Math.min(fdsAtOnce, SCM_MAX_FD))) {
    let { bytes, fds } = chunk;
    for (let tries = 0; bytes.length > 0; tries++) {
      try {
        if (!begun && fds.some(({ closed }) => closed)) throw new GoneFds();
        const sent = send(bytes, fds);
        if (sent !== undefined) {
          begun = true;
          bytes = bytes.subarray(sent);
          fds = [];
          continue;
        }
      } catch (error) {
        // The peer reads on, or others do, and there is room again.
        if (!begun || !isLack(error) || tries * PAUSE > timeout) throw error;
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
      await room();
    }
  }
}

/** Whether a call failed for lack of what this connection, or another one, may give back. */
export function isLack(error: unknown): error is SystemError {
  return error instanceof SystemError &&
    ["ETOOMANYREFS", "ENOBUFS", "ENOMEM"].includes(error.code);
}

function* chunks(
  bytes: Uint8Array<ArrayBuffer>,
  fds: readonly Fd[],
  atOnce: number,
): Generator<Chunk> {
  const count = Math.max(1, Math.ceil(fds.length / atOnce));
  // No chunk is empty: each descriptor stands for an address of several bytes.
  const start = (index: number) => Math.floor(index * bytes.length / count);
  for (let index = 0; index < count; index++) {
    yield {
      bytes: bytes.subarray(start(index), start(index + 1)),
      fds: fds.slice(index * atOnce, (index + 1) * atOnce),
    };
  }
}
