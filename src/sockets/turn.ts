/** Turns of the programs that bind one path. */

import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { createFile, openFile, tryLock } from "../../ffi/file.ts";
import { isTrusted } from "./folder.ts";
import { codeOf, fileId, identity, infoOf, isSame, placeAt, removeIfSame } from "./place.ts";

/** Tries to get a lock whose file its holder removes. */
const MAX_TRIES = 10;

/** How long, and how often, one tries to lock a file that one has made, in milliseconds. */
const PATIENCE = 5000;
const PAUSE = 5;

/**
 * Has the programs that bind a path, in a folder that is held, take turns, until the end of the scope. The lock is
 * on a file beside it that no other user can open: a lock on anything else could be held by whoever likes, for ever.
 * @returns undefined when there cannot be such a file, which binding explains if it matters
 * @throws {SystemError} EAGAIN when another program has its turn
 */
export function takeTurn(path: string): Disposable | undefined {
  const name = `${path}.lock`;
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const lock = lockFile(name);
    if (lock === undefined) return undefined;
    const { file, isNew } = lock;
    // Another program may have been quicker to lock a new file. Only who has made it removes it, and so must not give up.
    if (!tryLock(file) && !(isNew && lockSoon(file))) {
      file.close();
      throw new SystemError("flock", EAGAIN);
    }
    const info = infoOf(file);
    const id = info && identity(info);
    // If the holder before has removed the file, a lock on it keeps nobody out.
    if (id && isSame(fileId(name), id)) {
      return {
        [Symbol.dispose]() {
          // A file that was there already stays: the folder may be another by now, and the file no lock.
          if (isNew) removeIfSame(name, id);
          file.close();
        },
      };
    }
    file.close();
  }
  return undefined;
}

const EAGAIN = 11;

/** Waits until no other program has its turn; it has one for milliseconds, as a rule. */
function lockSoon(file: Fd): boolean {
  const nobody = new Int32Array(new SharedArrayBuffer(4));
  const end = performance.now() + PATIENCE;
  while (performance.now() < end) {
    Atomics.wait(nobody, 0, 0, PAUSE);
    if (tryLock(file)) return true;
  }
  return false;
}

function lockFile(name: string): { file: Fd; isNew: boolean } | undefined {
  try {
    return { file: createFile(name), isNew: true };
  } catch (error) {
    if (codeOf(error) === "EMFILE") throw error;
    if (codeOf(error) !== "EEXIST") return undefined;
  }
  // It belongs to a program that was killed, or that has its turn.
  using place = placeAt(name);
  // Locks of other programs have contents; and a second link to a file that they lock is no lock of ours.
  const isOurs = place?.info.isFile && place.info.nlink === 1 && place.info.size === 0 &&
    isTrusted(place.info.uid) && ((place.info.mode ?? 0) & 0o077) === 0;
  // On a file that others can open, anybody could hold a lock for ever.
  if (!place || !isOurs) return undefined;
  try {
    return { file: openFile(place.path), isNew: false };
  } catch (error) {
    if (codeOf(error) === "EMFILE") throw error;
    return undefined;
  }
}
