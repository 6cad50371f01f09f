/**
 * A file that is written for others to read, in one step, so that a reader sees the old text or the new.
 *
 * Others may be able to write to its folder. What lies there under its name is then not trusted: a link that is not
 * root's or our own is not followed, the mode and owner of a file that is not root's or our own are not kept, and a
 * device is not written to. The kernel treats links in such folders alike (fs.protected_symlinks, proc_sys_fs(5)).
 * @module
 */

import { resolve } from "node:path";
import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { createFile, openPlace } from "../../ffi/file.ts";
import { writeBytes } from "../../ffi/memfd.ts";
import { messageOf, UserError } from "../errors.ts";
import { encode } from "../templates/bytes.ts";
import { Folder, isTrusted, MAX_LINKS } from "../sockets/folder.ts";

/** Whose a file is, and who may read it. */
export type Like = Pick<Deno.FileInfo, "mode" | "uid" | "gid">;

/** Mode of a file that is like no other: readable to all. */
const MODE = 0o644;

/**
 * Replaces a file. A device is written to; a file of ours in a folder where none can be made is overwritten.
 * @param text as a template is rendered, see bytes.ts
 * @param like a file whose mode and owner it gets; without one it is ours, and readable to all
 * @param toPipe whether a pipe is written to as well, which may wait for its reader
 * @throws {Error} with the reason, and without the path
 */
export function writeOutputFile(path: string, text: string, like?: Like, toPipe = false): void {
  using target = Target.at(path);
  const bytes = encode(text);
  const overwrite = (place: string) => Deno.writeFileSync(place, bytes, { create: false });
  const fill = (file: Fd) => {
    writeBytes(file, bytes);
    makeLike(file, target.keeps ?? like);
  };
  target.write(overwrite, fill, toPipe);
}

/**
 * Makes sure that {@link writeOutputFile} can write a file, before anything depends on it. Nothing changes.
 * @param what it is, for the error
 * @throws {UserError} why it cannot
 */
export function insistOnWritable(path: string, what: string): void {
  try {
    if (path === "") throw new Error("its name is empty");
    using target = Target.at(path);
    target.write(() => {}, undefined);
  } catch (error) {
    throw new UserError(`cannot write ${what} ${path || '""'}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** Removes a file if it holds that text; whatever else lies there is left alone. */
export function removeOutputFile(path: string, text: string): void {
  try {
    using target = Target.at(path);
    const { info } = target;
    if (!info?.isFile || info.size !== new TextEncoder().encode(text).length) return;
    if (target.hold((place) => Deno.readTextFileSync(place)) === text) {
      Deno.removeSync(target.path);
    }
  } catch {
    // It was never written, or somebody removed it.
  }
}

/** The place that a path leads to, and what lies there. */
class Target implements Disposable {
  /** What lies there itself, not what it links to; undefined for nothing. */
  info: Deno.FileInfo | undefined;

  private constructor(readonly folder: Folder, readonly name: string) {
    this.info = lookAt(this.path);
  }

  /** Follows the links that are root's or our own, and those in folders that nobody else may write to. */
  static at(path: string): Target {
    let next = path;
    for (let links = 0; links < MAX_LINKS; links++) {
      const target = new Target(folderOf(next), next);
      const { folder, info } = target;
      if (!info?.isSymlink || !(folder.isOurs || isTrusted(info.uid))) return target;
      const linked = resolve(folder.name, Deno.readLinkSync(target.path));
      if (!follow(linked)) {
        // A link to nothing is replaced itself. Those of /proc/self/fd lead to what has no path.
        target.info = follow(target.path) ?? info;
        return target;
      }
      target[Symbol.dispose]();
      next = linked;
    }
    throw new Error("too many links lead from one to the next");
  }

  /** By the folder that this process holds open. */
  get path(): string {
    return this.folder.file(this.name);
  }

  /** The file that is there, if the new one is to have its mode and owner. */
  get keeps(): Like | undefined {
    return this.info?.isFile && (this.folder.isOurs || this.#isOurFile) ? this.info : undefined;
  }

  /**
   * Writes.
   * @param overwrite writes into a device, or into a file of ours where no new one can be made
   * @param fill fills a new file, which then takes the place; undefined to try whether one can be made
   * @param toPipe whether a pipe is written into as well
   */
  write(
    overwrite: (place: string) => void,
    fill: ((file: Fd) => void) | undefined,
    toPipe = false,
  ): void {
    const { folder, info } = this;
    // A file in the place of /dev/null would harm all.
    if (info?.isCharDevice || toPipe && info?.isFifo) {
      if (folder.isOurs || info.isFifo && isTrusted(info.uid)) return this.hold(overwrite);
      const what = info.isFifo ? "another user's pipe" : "a device";
      throw new Error(`${what} is there, in a folder that others may write to`);
    }
    if (info && !info.isFile && !info.isSymlink && (fill === undefined || isIrreplaceable(info))) {
      throw new Error("something else than a file is there");
    }
    const temporary = `${this.path}.${crypto.randomUUID()}`;
    let file: Fd;
    try {
      file = createFile(temporary);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      if (isDenied(error) && this.#isOurFile) return this.hold(overwrite);
      throw new Error(`${reasonOf(error)} to make a file in ${folder.name}`, { cause: error });
    }
    using _file = file;
    try {
      if (fill === undefined) return Deno.removeSync(temporary);
      fill(file);
      Deno.renameSync(temporary, this.path);
    } catch (error) {
      if (lookAt(temporary)) Deno.removeSync(temporary);
      throw new Error(reasonOf(error), { cause: error });
    }
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]();
  }

  /** Whether it is a file, root's or our own, and has no other name by which it means something else. */
  get #isOurFile(): boolean {
    const { info } = this;
    return info?.isFile === true && isTrusted(info.uid) && info.nlink === 1;
  }

  /** Runs `action` with the path of what was seen to be there, and of nothing else. */
  hold<T>(action: (place: string) => T): T {
    try {
      using place = openPlace(this.path);
      const path = `/proc/self/fd/${place.number}`;
      const { dev, ino } = Deno.statSync(path);
      if (dev !== this.info?.dev || ino !== this.info.ino) throw new Error("it is another by now");
      return action(path);
    } catch (error) {
      throw new Error(reasonOf(error), { cause: error });
    }
  }
}

/** Gives a file the mode of another, and its owner, which only root can promise. */
function makeLike(file: Fd, like: Like | undefined): void {
  const path = `/proc/self/fd/${file.number}`;
  let mode = (like?.mode ?? MODE) & 0o777;
  // Where the group stays ours, it gets the permissions that the other file gives to everybody else.
  if (like && !giveTo(path, like)) mode = mode & ~0o070 | (mode & 0o007) << 3;
  Deno.chmodSync(path, mode);
}

/** @returns whether it has that owner now */
function giveTo(path: string, { uid, gid }: Like): boolean {
  const made = Deno.statSync(path);
  if (made.uid === uid && made.gid === gid) return true;
  try {
    Deno.chownSync(path, uid, gid);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) return false;
    throw error;
  }
}

function folderOf(path: string): Folder {
  try {
    return Folder.reached(path);
  } catch (error) {
    throw new Error(reasonOf(error), { cause: error });
  }
}

/** Whether a file could not take the place of what is there, or must not. */
function isIrreplaceable({ isDirectory, isBlockDevice }: Deno.FileInfo): boolean {
  return isDirectory || isBlockDevice === true;
}

function isDenied({ code }: SystemError): boolean {
  return ["EACCES", "EPERM", "EROFS"].includes(code);
}

/** What an error says, without the path by which only this process has the file. */
function reasonOf(error: unknown): string {
  if (error instanceof SystemError) return error.message.replace(`${error.syscall}: `, "");
  return messageOf(error).replace(/(\(os error \d+\)).*$/s, "$1");
}

function lookAt(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch {
    return undefined;
  }
}

/** What a path leads to in the end; undefined for nothing. */
export function follow(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch {
    return undefined;
  }
}
