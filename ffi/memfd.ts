/** Anonymous files in memory (memfd_create(2)): text that travels by descriptor. */

import { check } from "./errno.ts";
import { MFD_CLOEXEC } from "./constants.ts";
import { Fd } from "./fd.ts";
import { libc } from "./libc.ts";
import { cString } from "./memory.ts";

/** Creates an empty one. @param name shown in /proc, nothing else */
export function createMemfd(name: string): Fd {
  return new Fd(check("memfd_create", () => libc().memfd_create(cString(name), MFD_CLOEXEC)));
}

/** Appends text to a file. */
export function writeText(fd: Fd, text: string): void {
  let bytes = new TextEncoder().encode(text);
  while (bytes.length > 0) {
    const rest = bytes;
    bytes = rest.subarray(
      check("write", () => libc().write(fd.number, rest, BigInt(rest.length))),
    );
  }
}

/**
 * Reads a whole file from its beginning, whatever its offset is.
 * @param limit bytes read at most
 * @throws {TypeError} when it is not UTF-8
 */
export function readText(fd: Fd, limit: number): string {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(readBytes(fd, limit));
}

/**
 * Reads what another program has written, from its beginning: what is not UTF-8, or cut at the limit,
 * becomes U+FFFD.
 * @param limit bytes read at most
 */
export function readOutput(fd: Fd, limit: number): string {
  return new TextDecoder().decode(readBytes(fd, limit));
}

function readBytes(fd: Fd, limit: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(limit);
  let length = 0;
  while (length < limit) {
    const rest = bytes.subarray(length);
    const at = BigInt(length);
    const count = check(
      "pread",
      () => libc().pread(fd.number, rest, BigInt(rest.length), at),
    );
    if (count === 0) break;
    length += count;
  }
  return bytes.subarray(0, length);
}
