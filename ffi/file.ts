/** Opening a file in ways that Deno has no option for. */

import { LOCK_EX, LOCK_NB, O_CLOEXEC, O_CREAT, O_EXCL, O_PATH, O_RDWR } from "./constants.ts";
import { check, checkNonBlocking } from "./errno.ts";
import { Fd } from "./fd.ts";
import { libc } from "./libc.ts";
import { cString } from "./memory.ts";

/**
 * Opens a file as a place alone (O_PATH, open(2)): nothing happens to it, whatever its kind, and it stays
 * the same one however its path changes.
 * @throws {SystemError} ENOENT, EACCES
 */
export function openPlace(path: string): Fd {
  return open(path, O_PATH, 0);
}

/** Makes a regular file that only its owner may open. @throws {SystemError} EEXIST, for a link too */
export function createFile(path: string): Fd {
  return open(path, O_RDWR | O_CREAT | O_EXCL, 0o600);
}

/** Opens a file for reading and writing. */
export function openFile(path: string): Fd {
  return open(path, O_RDWR, 0);
}

/** Locks a file against others who lock it, until it is closed. @returns false when another has it */
export function tryLock(fd: Fd): boolean {
  return checkNonBlocking("flock", () => libc().flock(fd.number, LOCK_EX | LOCK_NB)) !== undefined;
}

function open(path: string, flags: number, mode: number): Fd {
  const name = cString(path);
  return new Fd(check("open", () => libc().open(name, flags | O_CLOEXEC, mode)));
}
