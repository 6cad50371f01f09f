/**
 * A file that a user names for us to read, once and again at each reload: a config, a template, variables, what is
 * watched. Nothing that lies there may hold up what serves: a pipe would make its reader wait for a writer, a
 * device may have no end, and a file may be larger than the memory.
 */

import { SystemError } from "../ffi/errno.ts";
import { openForReading } from "../ffi/file.ts";
import { readBytes } from "../ffi/memfd.ts";
import { messageOf } from "./errors.ts";

/** Bytes that are read at most, if nothing else is said: far more than configs have. */
const MAX_SIZE = 16 * 1024 * 1024;

/**
 * Reads a file as it is.
 * @param limit bytes; a longer one is refused
 * @throws {Error} with the reason, and without the path; its cause is a SystemError where a call failed
 */
export function readInput(path: string, limit: number = MAX_SIZE): Uint8Array<ArrayBuffer> {
  try {
    // What is there is opened in the mode that never waits, and looked at then: before, it could become another.
    using file = openForReading(path);
    const info = Deno.statSync(`/proc/self/fd/${file.number}`);
    if (!info.isFile) throw new Error(`it is ${kindOf(info)}, and not a file`);
    // A sparse one of a terabyte is made in a moment; and one of /proc does not tell how long it is.
    const bytes = info.size > limit ? undefined : readBytes(file, limit + 1);
    if (bytes === undefined || bytes.length > limit) {
      throw new Error(`it is longer than ${limit} bytes`);
    }
    return bytes;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    const reason = error.code === "ENXIO" ? "it is a socket, and not a file" : messageOf(error);
    throw new Error(reason.replace(`${error.syscall}: `, ""), { cause: error });
  }
}

/** The same of a text in UTF-8; what is none becomes U+FFFD. */
export function readInputText(path: string, limit?: number): string {
  return new TextDecoder().decode(readInput(path, limit));
}

/** Whether reading failed since there is nothing. */
export function isMissing(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof SystemError && cause.code === "ENOENT";
}

function kindOf({ isDirectory, isFifo }: Deno.FileInfo): string {
  if (isDirectory) return "a directory";
  return isFifo ? "a pipe" : "a device";
}
