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

/** Something in the folder was written, created, moved or removed; that it was opened or read is not reported. */
const CHANGES = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF |
  IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR;

/** Bytes that are read at a time: more than one event has, whose name takes at most 255. */
const EVENTS = 4096;

/** Watches folders: its descriptor is readable once something has changed in one of them. */
export class Inotify implements Disposable {
  readonly fd: Fd;

  /** @throws {SystemError} EMFILE at the user's limit, fs.inotify.max_user_instances */
  constructor() {
    // Its flags are those of open(2).
    this.fd = new Fd(check("inotify_init1", () => libc().inotify_init1(O_NONBLOCK | O_CLOEXEC)));
  }

  /**
   * Watches a folder until it is removed. To add it once more changes nothing.
   * @returns false when it cannot be watched: it is not there, is no folder, may not be read, or is one too many
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
