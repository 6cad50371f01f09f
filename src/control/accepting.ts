/** Accepting connections for as long as a listening socket is open. */

import { POLLIN } from "../../ffi/constants.ts";
import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { isReady, type Poller } from "../../ffi/poll.ts";
import { acceptSocket } from "../../ffi/socket.ts";

/** Connections accepted in one turn of the event loop: a crowd must leave other clients, and signals, their turns. */
const AT_ONCE = 64;

/** Milliseconds without accepting after a failure that only time mends (no memory, no descriptors). */
export const ACCEPT_PAUSE = 100;

/** How fast to accept. */
export interface Pace {
  /** Connections that may be accepted now. */
  room: () => number;
  /** Milliseconds of rest after some were accepted. */
  pause: number;
}

/**
 * Accepts until the socket is closed.
 * @param serve called with each connection, which is its own from then on
 * @param failed called with the reason why a client who waits cannot be accepted; returns whether it has made room
 * @param pace by default as fast as can be, and leaving others their turns
 */
export async function acceptAll(
  listening: Fd,
  poller: Poller,
  serve: (connection: Fd) => void,
  failed: (error: SystemError) => boolean,
  pace: Pace = { room: () => AT_ONCE, pause: 0 },
): Promise<void> {
  while (!listening.closed) {
    await poller.wait(listening, POLLIN);
    try {
      for (let left = pace.room(); left > 0; left--) {
        const connection = accept(listening);
        if (connection === undefined) break;
        serve(connection);
      }
      if (pace.pause > 0) await new Promise((resolve) => setTimeout(resolve, pace.pause));
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      // Out of descriptors, accept4 fails before it looks whether somebody waits.
      if (!somebodyWaits(listening) || failed(error)) continue;
      await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE));
    }
  }
}

function accept(listening: Fd): Fd | undefined {
  try {
    return listening.closed ? undefined : acceptSocket(listening);
  } catch (error) {
    // The client went away while it waited.
    if (error instanceof SystemError && error.code === "ECONNABORTED") return undefined;
    throw error;
  }
}

function somebodyWaits(listening: Fd): boolean {
  try {
    return isReady(listening, POLLIN);
  } catch {
    return true; // It cannot be known, and time mends that as well.
  }
}
