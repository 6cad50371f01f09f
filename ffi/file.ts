/** Opening a file in ways that Deno has no option for. */

import {
  LOCK_EX,
  LOCK_NB,
  O_CLOEXEC,
  O_CREAT,
  O_EXCL,
  O_NOCTTY,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
} from "./constants.ts";
import { check, checkNonBlocking } from "./errno.ts";
import { Fd } from "./fd.ts";
import { libc } from "./libc.ts";
import { cString, Struct } from "./memory.ts";

/**
 * Opens a file to look at it, and not to read or write it (O_PATH, open(2)): nothing happens to the file,
 * whatever its kind, and the descriptor means the same file however its path changes.
 * @throws {SystemError} ENOENT, EACCES
 */
export function openPlace(path: string): Fd {
  return open(path, O_PATH);
}

/** Makes a regular file that only its owner may open. @throws {SystemError} EEXIST, for a link too */
export function createFile(path: string): Fd {
  return open(path, O_RDWR | O_CREAT | O_EXCL, 0o600);
}

/** Opens a file for reading and writing. */
export function openFile(path: string): Fd {
  return open(path, O_RDWR);
}

/** Opens a file for reading in the non-blocking mode: a pipe without a writer, say, makes nobody wait. */
export function openForReading(path: string): Fd {
  return open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
}

/** Opens a file for writing in the non-blocking mode: a full pipe or a stopped terminal makes nobody wait. */
export function openForWriting(path: string): Fd {
  return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY);
}

/** Locks a file against others who lock it, until it is closed. @returns false when another has it */
export function tryLock(fd: Fd): boolean {
  return checkNonBlocking("flock", () => libc().flock(fd.number, LOCK_EX | LOCK_NB)) !== undefined;
}

/** @param mode permission bits of a file that is created */
function open(path: string, flags: number, mode = 0): Fd {
  const name = cString(path);
  return new Fd(check("open", () => libc().open(name, flags | O_CLOEXEC, mode)));
}

/** Bytes that are read at a time: some hundred names. */
const NAMES = 8192;
const decoder = new TextDecoder();

/**
 * The names in a folder (getdents64(2)), read as they are asked for: there may be a million.
 * @throws {SystemError}
 */
export function* folderNames(path: string): Generator<string> {
  // By now a pipe may have taken the folder's place, and opening one could wait for a writer.
  using folder = open(path, O_RDONLY | O_NONBLOCK);
  const entries = new Struct(NAMES);
  for (;;) {
    const length = check(
      "getdents64",
      () => libc().getdents64(folder.number, entries.bytes, BigInt(NAMES)),
    );
    if (length === 0) return;
    // struct linux_dirent64 { u64 d_ino; s64 d_off; unsigned short d_reclen; unsigned char d_type; char d_name[]; }
    for (let at = 0; at < length; at += entries.i16(at + 16)) {
      const end = entries.bytes.indexOf(0, at + 19);
      const text = decoder.decode(entries.bytes.subarray(at + 19, end));
      if (text !== "." && text !== "..") yield text;
    }
  }
}
