/**
 * Asks for a reload when a file has changed: some time after the last change, since an editor or a deployment
 * makes several, and not too often. What counts is what the files hold. That is noted when a reload begins,
 * whoever asked for it: a config that was refused is not tried again before something changes.
 *
 * The kernel reports changes in folders (inotify), but none that another machine makes on a file server, and not that a
 * folder further up was moved away. So the files are looked at from time to time as well, and after a report.
 * @module
 */

import { Inotify } from "../../ffi/inotify.ts";
import { POLLIN } from "../../ffi/constants.ts";
import { SystemError } from "../../ffi/errno.ts";
import type { Poller } from "../../ffi/poll.ts";
import type { Log } from "../log.ts";
import type { ReloadOutcome } from "./reloads.ts";
import { ABSENT, type Contents, MAX_FILES, type WatchedFiles } from "./watched_files.ts";

/** Times, in milliseconds. */
export interface WatchTimes {
  /** For which nothing may change before a reload. */
  quiet: number;
  /** From one look at the files to the next, when the kernel reports nothing. */
  period: number;
  /** From the end of a reload to the next one that a change asks for. */
  interval: number;
}

/** What a wrapper has noted of the files, for its successor. */
export type WatchState = Record<string, string>;

/** Milliseconds after a change, before the next one is waited for. */
const PAUSE = 50;

/** See the module's description. */
export class Watch implements Disposable {
  readonly #inotify: Inotify | undefined;
  /** What the files held when the last reload began. */
  #seen: Contents | undefined;
  #timer: number | undefined;
  #isOver = false;
  /** Settles when the preparation of a reload may no longer change files; undefined when none is under way. */
  #preparing: PromiseWithResolvers<void> | undefined;
  /** Whether the last look has left files out. */
  #isCut = false;

  /**
   * @param reload asks for one, and waits for its end
   * @param seen what an earlier program has noted, if there was one
   */
  constructor(
    readonly files: WatchedFiles,
    readonly times: WatchTimes,
    readonly poller: Poller,
    readonly log: Log,
    readonly reload: () => Promise<ReloadOutcome>,
    seen?: WatchState,
  ) {
    this.#seen = seen && new Map(Object.entries(seen));
    try {
      this.#inotify = new Inotify();
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      const { period } = times;
      log.warn("changes are not told, and looked for", { error: error.message, period });
    }
  }

  /** For a successor. */
  get state(): WatchState {
    return Object.fromEntries(this.#seen ?? []);
  }

  /** A reload is being prepared, which may change files: they are not looked at before {@link note}. */
  begin(): void {
    this.#preparing ??= Promise.withResolvers();
  }

  /** A reload begins, with what the files hold now. */
  async note(): Promise<void> {
    this.#seen = await this.#look();
    this.#preparing?.resolve();
    this.#preparing = undefined;
  }

  /** Watches, until it is closed. */
  async run(): Promise<void> {
    if (this.#seen === undefined) await this.note();
    // Files may have changed between two programs: the first look is at once.
    while (!this.#isOver) {
      await this.#follow();
      if (await this.#change(this.times.period)) await this.#rest();
    }
  }

  /** Watches no more. */
  [Symbol.dispose](): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    if (this.#inotify === undefined) return;
    this.poller.cancel(this.#inotify.fd);
    this.#inotify[Symbol.dispose]();
  }

  /** Asks for a reload if something has changed. */
  async #follow(): Promise<void> {
    let changed: string | undefined;
    do {
      await this.#preparing?.promise;
      changed = await this.#changed();
    } while (this.#preparing);
    if (changed === undefined || this.#isOver) return;
    this.log.info("a watched file has changed, reloading", { path: changed });
    const { ok } = await this.reload();
    if (!ok) this.log.warn("what was refused is not tried again before a watched file changes");
    await this.#sleep(this.times.interval);
  }

  /** Waits until nothing has changed for a while; not for ever. */
  async #rest(): Promise<void> {
    const { quiet, interval } = this.times;
    const end = performance.now() + Math.max(interval, quiet);
    do {
      await this.#sleep(PAUSE);
    } while (await this.#change(quiet) && performance.now() < end);
  }

  /** Waits for a change. @returns false when there was none for so many milliseconds */
  async #change(time: number): Promise<boolean> {
    if (this.#isOver) return false;
    if (this.#inotify === undefined) {
      await this.#sleep(time);
      return false;
    }
    const hasChanged = await this.poller.wait(this.#inotify.fd, POLLIN, time) !== 0;
    if (hasChanged) this.#inotify.clear();
    return hasChanged;
  }

  #sleep(time: number): Promise<void> {
    return new Promise((resolve) => {
      if (!this.#isOver) this.#timer = setTimeout(resolve, time);
    });
  }

  async #look(): Promise<Contents> {
    const contents = await this.files.look((folder) => {
      if (!this.#isOver) this.#inotify?.add(folder);
    });
    const { isCut } = this.files;
    if (isCut && !this.#isCut) {
      this.log.warn("too many files and folders are watched: changes of some go unseen", {
        watched: MAX_FILES,
      });
    }
    this.#isCut = isCut;
    return contents;
  }

  /** A path that holds something else than when the last reload began. */
  async #changed(): Promise<string | undefined> {
    const seen = this.#seen ?? new Map();
    const now = await this.#look();
    // A file that was named and is gone comes back as a rule, and a reload without it would be refused.
    const named = new Set(this.files.paths);
    for (const path of new Set([...seen.keys(), ...now.keys()])) {
      const digest = now.get(path) ?? ABSENT;
      if (digest === ABSENT && named.has(path)) continue;
      if (digest !== (seen.get(path) ?? ABSENT)) return path;
    }
    return undefined;
  }
}
