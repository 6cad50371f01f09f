/**
 * Standard error, written to without ever waiting for whoever reads it: a pipe that is full, or a terminal that
 * is stopped, must not stop what serves traffic.
 */

import { POLLOUT } from "../ffi/constants.ts";
import { checkNonBlocking } from "../ffi/errno.ts";
import type { Fd } from "../ffi/fd.ts";
import { sendMessage } from "../ffi/fd_passing.ts";
import { openForWriting } from "../ffi/file.ts";
import { libc } from "../ffi/libc.ts";
import { isReady } from "../ffi/poll.ts";

/** Bytes that a pipe takes at once when it is ready for any (PIPE_BUF, pipe(7)). */
const PIPE_BUF = 4096;
const STDERR = "/proc/self/fd/2";

const encoder = new TextEncoder();

interface Output {
  fd: Pick<Fd, "number">;
  isSocket: boolean;
}

let output: Output | undefined;
let dropped = 0;
/** Whether the last line was written in part. */
let isCut = false;

/**
 * Writes a line. A line that could not be written without waiting is dropped, and the next one that is written says
 * how many were; of a line that was begun, the end is dropped.
 */
export function writeToStderr(line: string): void {
  try {
    output ??= openOutput();
    const note = dropped > 0
      ? `${dropped} lines of the log were dropped: nobody read them in time\n`
      : "";
    const text = new Uint8Array(encoder.encode((isCut ? "\n" : "") + note + line));
    const left = write(output, text);
    if (left === text.length) {
      dropped++;
      return;
    }
    dropped = 0;
    isCut = left > 0;
  } catch {
    // Nobody is left to tell.
  }
}

/** @returns how many of the bytes it does not take */
function write({ fd, isSocket }: Output, bytes: Uint8Array<ArrayBuffer>): number {
  let rest = bytes;
  // Piece by piece: what could not be opened anew is in the blocking mode, and a long write to it would wait. (It
  // still waits when others fill it between the question whether it is ready and the write.)
  while (rest.length > 0 && isReady(fd, POLLOUT)) {
    const part = rest.subarray(0, PIPE_BUF);
    const written = isSocket
      ? sendMessage(fd, part)
      : checkNonBlocking("write", () => libc().write(fd.number, part, BigInt(part.length)));
    if (written === undefined) break;
    rest = rest.subarray(written);
  }
  return rest.length;
}

/**
 * Opens a pipe or terminal anew, in the non-blocking mode: the mode of descriptor 2 itself is shared with the
 * server, and with whoever started us.
 */
function openOutput(): Output {
  let isSocket = false;
  try {
    const info = Deno.statSync(STDERR);
    isSocket = info.isSocket === true;
    if (info.isFifo || Deno.stderr.isTerminal()) return { fd: openForWriting(STDERR), isSocket };
  } catch {
    // It is another user's, or nobody reads it.
  }
  return { fd: { number: 2 }, isSocket };
}
