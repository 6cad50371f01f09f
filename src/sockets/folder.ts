/**
 * The folder that a file lies in, held by a descriptor: what is done to the file happens there, whatever
 * becomes of the folder's name meanwhile. Whoever owns the folder above could put another in its place.
 */

import type { Fd } from "../../ffi/fd.ts";
import { openPlace } from "../../ffi/file.ts";
import { effectiveUid } from "../../ffi/process.ts";

/** Permission bits by which others than the owner may write to a folder. */
const WRITABLE_TO_OTHERS = 0o022;

/** Links that are followed, one after another, as many as the kernel follows (path_resolution(7)). */
export const MAX_LINKS = 40;

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

  /**
   * The same, for a file that is written. On the way to the folder no link is followed that another user has put
   * where others may write: it could lead to any folder, and to a file of that name in it.
   * @throws {SystemError} as {@link of}
   * @throws {Error} for such a link, without the path
   */
  static reached(path: string): Folder {
    let folder = new Folder(openPlace(path.startsWith("/") ? "/" : "."));
    try {
      let names = namesIn(folderOf(path));
      for (let links = 0; names.length > 0;) {
        const [name = "", ...rest] = names;
        const place = folder.file(name);
        const { isSymlink, uid, dev, ino } = Deno.lstatSync(place);
        let next = place;
        names = rest;
        if (isSymlink) {
          if (!folder.isOurs && !isTrusted(uid)) {
            throw new Error(`${folder.name}/${name} is a link of another user's (uid ${uid})`);
          }
          if (links++ >= MAX_LINKS) throw new Error("too many links lead from one to the next");
          const target = Deno.readLinkSync(place);
          names = [...namesIn(target), ...rest];
          if (!target.startsWith("/")) continue;
          next = "/";
        }
        const above = folder;
        folder = new Folder(openPlace(next));
        above.#fd.close();
        if (!isSymlink && !folder.#is(dev, ino)) throw new Error(`${place} is another by now`);
      }
      return folder;
    } catch (error) {
      folder.#fd.close();
      throw error;
    }
  }

  #is(device: number, inode: number | null): boolean {
    const { dev, ino } = Deno.statSync(this.#path);
    return dev === device && ino === inode;
  }

  /** The path by which this process has the file of a path in this folder. */
  file(path: string): string {
    return `${this.#path}/${path.slice(path.lastIndexOf("/") + 1)}`;
  }

  /** The path that the folder has by now. */
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

function namesIn(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

function folderOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "." : path.slice(0, slash) || "/";
}

/** Whether a file's owner is root or this user. */
export function isTrusted(uid: number | null): boolean {
  return uid === 0 || uid === effectiveUid();
}
