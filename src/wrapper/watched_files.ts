/**
 * What files and folders hold, to tell whether that has changed. Links are followed: Kubernetes and certbot put
 * another file in a file's place by moving a link. Of a folder all files below it count, but not what editors
 * (`.site.cfg.swp`, `site.cfg~`) and Kubernetes (`..data`) keep there.
 * @module
 */

import { dirname, resolve } from "node:path";
import { folderNames } from "../../ffi/file.ts";
import { UserError } from "../errors.ts";
import { isMissing, readInput } from "../input_file.ts";

/** Files and folders that are looked at: each look takes some 10 microseconds for one. */
export const MAX_FILES = 5000;

/** Bytes of a file that is read; a larger one is known by its size and time. */
const MAX_SIZE = 4 * 1024 * 1024;

/** Milliseconds after its last change from which on the time and size of a file identify it: times may be coarse. */
const SETTLED = 2000;

const PASSED_OVER = /^\.|~$/;

/** What stands for a path where there is nothing. */
export const ABSENT = "absent";

/** For each path something that differs when what is there differs. */
export type Contents = ReadonlyMap<string, string>;

/** What was read of files, and when, in milliseconds since 1970. */
type Known = Map<string, { stamp: string; at: number; digest: string }>;

/** Files and folders that are looked at again and again. */
export class WatchedFiles {
  /** Absolute, each once. */
  readonly paths: readonly string[];
  readonly #passedOver: ReadonlySet<string>;
  #known: Known = new Map();
  /** Whether the last look has come to the limit, and left the rest out. */
  isCut = false;

  /** @param passedOver files that are written by us, or by the server */
  constructor(paths: readonly string[], passedOver: readonly string[] = []) {
    this.paths = [...new Set(paths.map((path) => resolve(path)))];
    this.#passedOver = new Set(passedOver.map((path) => resolve(path)));
  }

  /** @throws {UserError} for one of the paths that is not there, or has too much below it */
  static async insist(paths: readonly string[]): Promise<void> {
    for (const path of paths.map((one) => resolve(one))) {
      const files = new WatchedFiles([path]);
      const contents = await files.look(() => {});
      if (files.isCut) {
        throw new UserError(
          `cannot watch ${path}: it has ${MAX_FILES} files and folders or more; name some below it`,
        );
      }
      if (contents.get(path) === ABSENT) {
        throw new UserError(`cannot watch ${path}: there is no such file or folder`);
      }
    }
  }

  /**
   * Looks at all of them.
   * @param heed is given each folder in which a change can come, before that is looked at
   */
  async look(heed: (folder: string) => void): Promise<Contents> {
    const found = new Map<string, string>();
    const known: Known = new Map();
    // Folders count as well: a few of them with links to each other make many paths.
    let left = MAX_FILES;
    for (const path of this.paths) {
      heed(dirname(path));
      for (const one of filesAt(path, heed, new Set())) {
        if (left-- <= 0) break;
        if (one.info?.isDirectory) continue;
        if (found.has(one.path) || this.#passedOver.has(one.path)) continue;
        found.set(one.path, await this.#digestOf(one, known));
      }
    }
    this.#known = known;
    this.isCut = left <= 0;
    return found;
  }

  async #digestOf({ path, info }: Found, known: Known): Promise<string> {
    if (info === undefined) return ABSENT;
    const stamp = `${info.dev}:${info.ino}:${info.size}:${info.mtime?.getTime()}`;
    if (!info.isFile || info.size > MAX_SIZE) return stamp;
    const before = this.#known.get(path);
    const isSame = before?.stamp === stamp && before.at - (info.mtime?.getTime() ?? 0) > SETTLED;
    const entry = isSame ? before : { stamp, at: Date.now(), digest: await digestOfFile(path) };
    known.set(path, entry);
    return entry.digest;
  }
}

/** What was found at a path: nothing, a file, a folder before what is in it, or something else. */
interface Found {
  path: string;
  info: Deno.FileInfo | undefined;
}

/** What is at a path and below it, in order. */
function* filesAt(
  path: string,
  heed: (folder: string) => void,
  above: ReadonlySet<string>,
): Generator<Found> {
  const info = infoOf(path);
  yield { path, info };
  if (!info?.isDirectory) return;
  // Links may lead in circles.
  const place = `${info.dev}:${info.ino}`;
  if (above.has(place)) return;
  heed(path);
  for (const name of namesIn(path)) {
    yield* filesAt(`${path}/${name}`, heed, new Set([...above, place]));
  }
}

function namesIn(folder: string): string[] {
  try {
    return [...folderNames(folder).filter((name) => !PASSED_OVER.test(name)).take(MAX_FILES)]
      .sort();
  } catch {
    return []; // It is gone, or may not be read.
  }
}

function infoOf(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch {
    return undefined;
  }
}

async function digestOfFile(path: string): Promise<string> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = readInput(path, MAX_SIZE);
  } catch (error) {
    return isMissing(error) ? ABSENT : "unreadable";
  }
  return new Uint32Array(await crypto.subtle.digest("SHA-256", bytes)).join("-");
}
