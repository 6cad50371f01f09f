/**
 * Whether the file of this program is as it was built.
 *
 * The kernel starts a program that was damaged on a disk or on its way there, and it runs until it comes to
 * the damage. So the build records a digest of the whole file within the file, and a successor compares it
 * before it is executed for good. This guards against accidents alone: whoever can write the file can write the
 * digest.
 * @module
 */

import { UserError } from "../errors.ts";

/** The build writes the digest over the zeros, wherever the file has this text. */
const RECORDED =
  "multibinder-digest:0000000000000000000000000000000000000000000000000000000000000000";

/** Where a digest stands in the file. It is zero while the digest is computed. */
const PLACE = /multibinder-digest:[0-9a-f]{64}/g;
const ZERO = "0".repeat(64);
const NAME_LENGTH = RECORDED.length - ZERO.length;

/** Bytes that are read at a time. */
const CHUNK = 256 * 1024;

/** @throws {UserError} when the running program's file is not what the build made */
export async function insistOnIntactFile(): Promise<void> {
  const recorded = RECORDED.slice(NAME_LENGTH);
  // It runs from source, or was compiled by hand.
  if (!Deno.build.standalone || recorded === ZERO) return;
  using file = Deno.openSync("/proc/self/exe");
  if (await digestOf(file) === recorded) return;
  throw new UserError(
    `the file is damaged: its digest is not the one that was recorded when it was built; copy it anew`,
  );
}

/**
 * Writes the digest of a compiled program into it.
 * @throws {Error} when it has no place for one
 */
export async function recordDigest(path: string): Promise<void> {
  using file = Deno.openSync(path, { read: true, write: true });
  const digest = new TextEncoder().encode(await digestOf(file));
  const { start, bytes } = payloadOf(file);
  const places = placesIn(bytes);
  if (places.length === 0) throw new Error(`${path} has no place for a digest`);
  for (const place of places) {
    file.seekSync(start + place, Deno.SeekMode.Start);
    file.writeSync(digest);
  }
}

/** SHA-256 of the file with zeros where digests stand. */
async function digestOf(file: Deno.FsFile): Promise<string> {
  // Loaded here, since no other start needs it. Web Crypto has no digest of a stream, and keeps a copy of each
  // part: that took four times as long, and 70 MB more.
  const { createHash } = await import("node:crypto");
  const hash = createHash("sha256");
  const { start, bytes } = payloadOf(file);
  for (const place of placesIn(bytes)) bytes.fill("0".charCodeAt(0), place, place + ZERO.length);
  file.seekSync(0, Deno.SeekMode.Start);
  const chunk = new Uint8Array(CHUNK);
  for (let left = start; left > 0;) {
    const part = fill(chunk.subarray(0, Math.min(left, CHUNK)), file);
    hash.update(part);
    left -= part.length;
  }
  return hash.update(bytes).digest("hex");
}

/**
 * What `deno compile` has appended to its runtime: it stands behind the ELF image, whose last part are the
 * section headers (elf(5), for 64 bits).
 */
function payloadOf(file: Deno.FsFile): { start: number; bytes: Uint8Array<ArrayBuffer> } {
  file.seekSync(0, Deno.SeekMode.Start);
  const header = new DataView(fill(new Uint8Array(64), file).buffer);
  const [shoff, shentsize, shnum] = [
    Number(header.getBigUint64(40, true)),
    header.getUint16(58, true),
    header.getUint16(60, true),
  ];
  const start = shoff + shentsize * shnum;
  const { size } = file.statSync();
  file.seekSync(start, Deno.SeekMode.Start);
  return { start, bytes: fill(new Uint8Array(size - start), file) };
}

function placesIn(bytes: Uint8Array): number[] {
  // One byte is one character.
  const text = new TextDecoder("latin1").decode(bytes);
  return [...text.matchAll(PLACE)].map(({ index }) => index + NAME_LENGTH);
}

/** Reads from a file until the buffer is full. */
function fill(bytes: Uint8Array<ArrayBuffer>, file: Deno.FsFile): Uint8Array<ArrayBuffer> {
  for (let at = 0; at < bytes.length;) {
    const count = file.readSync(bytes.subarray(at));
    if (count === null) throw new UserError("the file is damaged: it is shorter than it says");
    at += count;
  }
  return bytes;
}
