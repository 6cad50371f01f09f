/** Pipes (pipe2(2)). */

import { check } from "./errno.ts";
import { O_CLOEXEC } from "./constants.ts";
import { Fd } from "./fd.ts";
import { libc } from "./libc.ts";

/** Makes a pipe, both ends close-on-exec and in the blocking mode. */
export function createPipe(): { reader: Fd; writer: Fd } {
  const fds = new Int32Array(2);
  check("pipe2", () => libc().pipe2(fds, O_CLOEXEC));
  return { reader: new Fd(fds[0] ?? -1), writer: new Fd(fds[1] ?? -1) };
}

/**
 * Reads what is in a pipe, which must be ready.
 * @returns how many bytes were written to the buffer, 0 at the end
 */
export function readPipe(reader: Fd, buffer: Uint8Array<ArrayBuffer>): number {
  return check("read", () => libc().read(reader.number, buffer, BigInt(buffer.length)));
}
