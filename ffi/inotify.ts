/** Being told of changes in folders (inotify(7)). */

import {
  IN_CLOSE_WRITE,
  IN_CREATE,
  IN_DELETE,
  IN_DELETE_SELF,
  IN_MOVE_SELF,
  IN_MOVED_FROM,
  IN_MOVED_TO,
  IN_ONLYDIR,
  O_CLOEXEC,
  O_NONBLOCK,
} from "./constants.ts";
import { check } from "./errno.ts";
import { Fd } from "./fd.ts";
import { libc } from "./libc.ts";
import { cString } from "./memory.ts";

/** What is in a folder was written, made, moved or removed; that it was opened or read is not told. */
const CHANGES = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF |
  IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR;

/** Bytes of events that are read at once: more than one needs, whose name has at most 255. */
const EVENTS = 4096;

/** Is readable once something has changed in one of its folders. */
export class Inotify implements Disposable {
  readonly fd: Fd;

  /** @throws {SystemError} EMFILE at the limit of a user's, fs.inotify.max_user_instances */
  constructor() {
    // Its flags are those of open(2).
    this.fd = new Fd(check("inotify_init1", () => libc().inotify_init1(O_NONBLOCK | O_CLOEXEC)));
  }

  /**
   * Adds a folder, until that is removed. Once more changes nothing.
   * @returns false when that cannot be: it is not there, is no folder, may not be read, or too many are watched
   */
  add(folder: string): boolean {
    return libc().inotify_add_watch(this.fd.number, cString(folder), CHANGES) >= 0;
  }

  /** Forgets what has happened so far. */
  clear(): void {
    const events = new Uint8Array(EVENTS);
    while (libc().read(this.fd.number, events, BigInt(EVENTS)) > 0);
  }

  [Symbol.dispose](): void {
    this.fd.close();
  }
}
