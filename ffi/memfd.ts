/** Anonymous files in memory (memfd_create(2)): text that travels by descriptor. */

import {
  F_ADD_SEALS,
  F_GET_SEALS,
  F_SEAL_GROW,
  F_SEAL_SEAL,
  F_SEAL_SHRINK,
  F_SEAL_WRITE,
  MFD_ALLOW_SEALING,
  MFD_CLOEXEC,
} from "./constants.ts";
import { check, SystemError } from "./errno.ts";
import { Fd } from "./fd.ts";
import { libc } from "./libc.ts";
import { cString } from "./memory.ts";

/** Size of the first buffer that is read into, in bytes. */
const CHUNK = 64 * 1024;

/** Creates an empty one. @param name shown in /proc, nothing else */
export function createMemfd(name: string): Fd {
  return new Fd(check("memfd_create", () => libc().memfd_create(cString(name), MFD_CLOEXEC)));
}

/** Nobody can change what the file holds, nor take these seals off again. */
const SEALED = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

/** Creates one that holds a text, which nobody can change. @param name shown in /proc */
export function createSealedMemfd(name: string, text: string): Fd {
  const flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  const fd = new Fd(check("memfd_create", () => libc().memfd_create(cString(name), flags)));
  try {
    writeText(fd, text);
    check("fcntl", () => libc().fcntl(fd.number, F_ADD_SEALS, SEALED));
    return fd;
  } catch (error) {
    fd.close();
    throw error;
  }
}

/**
 * How a file is guarded against change: "sealed" as {@link createSealedMemfd} does, "unsealable" as
 * {@link createMemfd} leaves it.
 * @param number of a descriptor, which is not touched
 * @returns undefined when it is no file in memory, or not open
 */
export function sealingOf(number: number): "sealed" | "unsealable" | "other" | undefined {
  try {
    const seals = check("fcntl", () => libc().fcntl(number, F_GET_SEALS, 0));
    if ((seals & SEALED) === SEALED) return "sealed";
    return seals === F_SEAL_SEAL ? "unsealable" : "other";
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}

/** Appends text to a file. */
export function writeText(fd: Fd, text: string): void {
  writeBytes(fd, new TextEncoder().encode(text));
}

/** Appends bytes to a file. */
export function writeBytes(fd: Fd, bytes: Uint8Array): void {
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

/**
 * Reads what a file holds, from its beginning, whatever its offset is.
 * @param limit bytes read at most
 */
export function readBytes(fd: Fd, limit: number): Uint8Array<ArrayBuffer> {
  let bytes = new Uint8Array(Math.min(limit, CHUNK));
  let length = 0;
  while (length < limit) {
    if (length === bytes.length) {
      const longer = new Uint8Array(Math.min(limit, 2 * length));
      longer.set(bytes);
      bytes = longer;
    }
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
