/**
 * Asks for a reload when a file has changed: some time after the last change, since an editor or a deployment
 * makes several, and not too often. What counts is what the files hold. That is noted when a reload begins,
 * whoever asked for it: a config that was refused is not tried again before something changes.
 *
 * The kernel tells of changes in folders (inotify). It does not of those on a file server, or of a folder above
 * that was moved away: so there is a look from time to time as well, and both only look.
 * @module
 */

import { Inotify } from "../../ffi/inotify.ts";
import { POLLIN } from "../../ffi/constants.ts";
import { SystemError } from "../../ffi/errno.ts";
import type { Poller } from "../../ffi/poll.ts";
import type { Log } from "../log.ts";
import type { ReloadOutcome } from "./reloads.ts";
import { ABSENT, type Contents, MAX_FILES, type WatchedFiles } from "./watched_files.ts";

/** How often, in milliseconds. */
export interface WatchTimes {
  /** Without a change before a reload. */
  quiet: number;
  /** From one look to the next, when the kernel tells of nothing. */
  period: number;
  /** From the end of a reload to the next one that a change asks for. */
  interval: number;
}

/** What a wrapper that is handed over has noted, for its successor. */
export type WatchState = Record<string, string>;

/** Milliseconds between two questions whether changes go on. */
const PAUSE = 50;

/** See the module's description. */
export class Watch implements Disposable {
  readonly #inotify: Inotify | undefined;
  /** What the last reload has begun with. */
  #seen: Contents | undefined;
  #timer: number | undefined;
  #isOver = false;
  #readying: PromiseWithResolvers<void> | undefined;
  /** Whether the last look has left files out. */
  #isCut = false;

  /**
   * @param reload asks for one, and waits for its end
   * @param seen what an earlier program has noted
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

  /** A reload is being made ready, which may change files: nobody looks at them before {@link note}. */
  begin(): void {
    this.#readying ??= Promise.withResolvers();
  }

  /** A reload begins: it takes what is there now. */
  async note(): Promise<void> {
    this.#seen = await this.#look();
    this.#readying?.resolve();
    this.#readying = undefined;
  }

  /** Watches, until it is closed. */
  async run(): Promise<void> {
    if (this.#seen === undefined) await this.note();
    // What has changed between two programs was told to nobody: the first look is at once.
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
      await this.#readying?.promise;
      changed = await this.#changed();
    } while (this.#readying);
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
    const isTold = await this.poller.wait(this.#inotify.fd, POLLIN, time) !== 0;
    if (isTold) this.#inotify.clear();
    return isTold;
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
    // What was named and is gone comes back as a rule, and a reload without it would be refused.
    const named = new Set(this.files.paths);
    for (const path of new Set([...seen.keys(), ...now.keys()])) {
      const digest = now.get(path) ?? ABSENT;
      if (digest === ABSENT && named.has(path)) continue;
      if (digest !== (seen.get(path) ?? ABSENT)) return path;
    }
    return undefined;
  }
}
