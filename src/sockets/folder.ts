/**
 * The folder that a file lies in, held by a descriptor: what is done to the file happens there, whatever
 * becomes of the folder's name meanwhile. Whoever owns the folder above could put another in its place.
 */

import type { Fd } from "../../ffi/fd.ts";
import { openPlace } from "../../ffi/file.ts";
import { effectiveUid } from "../../ffi/process.ts";

/** Permission bits by which others than the owner may write to a folder. */
const WRITABLE_TO_OTHERS = 0o022;

/** See the module's description. */
export class Folder implements Disposable {
  readonly #fd: Fd;

  private constructor(fd: Fd) {
    this.#fd = fd;
  }

  /**
   * Holds the folder of a file, which need not be there.
   * @param path of the file
   * @throws {SystemError} ENOENT, EACCES, EMFILE
   */
  static of(path: string): Folder {
    return new Folder(openPlace(folderOf(path)));
  }

  /** The path by which this process has the file of a path in this folder. */
  file(path: string): string {
    return `${this.#path}/${path.slice(path.lastIndexOf("/") + 1)}`;
  }

  /** Where the folder is by now. */
  get name(): string {
    return Deno.readLinkSync(this.#path);
  }

  /** Whether nobody but root and this user can put files into it, or others in their places. */
  get isOurs(): boolean {
    const { mode, uid } = Deno.statSync(this.#path);
    return isTrusted(uid) && ((mode ?? 0) & WRITABLE_TO_OTHERS) === 0;
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }

  get #path(): string {
    return `/proc/self/fd/${this.#fd.number}`;
  }
}

function folderOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "." : path.slice(0, slash) || "/";
}

/** Whether a file's owner is root or this user. */
export function isTrusted(uid: number | null): boolean {
  return uid === 0 || uid === effectiveUid();
}
