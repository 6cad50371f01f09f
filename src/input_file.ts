/**
 * Reading files that a user names, at the start and at each reload: configs, templates, variables, watched files.
 * Nothing that lies there may hold up a program that serves traffic: a pipe would make its reader wait for a writer,
 * a device may have no end, and a file may be larger than the memory.
 */

import { SystemError } from "../ffi/errno.ts";
import { openForReading } from "../ffi/file.ts";
import { readBytes } from "../ffi/memfd.ts";
import { messageOf } from "./errors.ts";

/** The longest file that is read, in bytes, if the caller says nothing else: far longer than configs are. */
const MAX_SIZE = 16 * 1024 * 1024;

/**
 * Reads a file as it is.
 * @param limit bytes; a longer one is refused
 * @throws {Error} with the reason, and without the path; its cause is a SystemError where a call failed
 */
export function readInput(path: string, limit: number = MAX_SIZE): Uint8Array<ArrayBuffer> {
  try {
    // It is opened in the non-blocking mode, and looked at only then: a path that was looked at first could lead to
    // another file by the time it is opened.
    using file = openForReading(path);
    const info = Deno.statSync(`/proc/self/fd/${file.number}`);
    if (!info.isFile) throw new Error(`it is ${kindOf(info)}, and not a file`);
    // A sparse file of a terabyte is made in a moment, and a file of /proc does not say how long it is.
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

/** Reads a file as text in UTF-8, as {@link readInput} does; bytes that are no UTF-8 become U+FFFD. */
export function readInputText(path: string, limit?: number): string {
  return new TextDecoder().decode(readInput(path, limit));
}

/** Whether reading failed because there is no such file. */
export function isMissing(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof SystemError && cause.code === "ENOENT";
}

function kindOf({ isDirectory, isFifo }: Deno.FileInfo): string {
  if (isDirectory) return "a directory";
  return isFifo ? "a pipe" : "a device";
}
