/** What is watched of a service: the files that its next generation is made of. */

import type { Launcher } from "./launcher.ts";
import type { WrapperOptions } from "./options.ts";
import type { ReloadOutcome } from "./reloads.ts";
import type { Watch, WatchState } from "./watch.ts";

/** Milliseconds without a change before a reload, and between looks for what nobody tells of. */
const WATCH = { quiet: 500, period: 10_000 };

/**
 * Begins to watch.
 * @param reload asks for a reload, and waits for its end
 * @param seen what an earlier program has noted
 * @throws {UserError} for a path that is named and not there
 */
export async function openWatch(
  { service, templates, poller, log }: Launcher,
  options: Pick<WrapperOptions, "envFiles" | "watch" | "watchInterval">,
  reload: () => Promise<ReloadOutcome>,
  seen?: WatchState,
): Promise<Watch> {
  // What no other start needs is loaded here.
  const { Watch } = await import("./watch.ts");
  const { WatchedFiles } = await import("./watched_files.ts");
  const rendered = templates.map(({ target }) => target);
  // Of a server that is not known well, a file in its command may be a log.
  const configs = service.server.isAdjustable
    ? templates.map(({ template }) => template)
    : service.configs;
  const envFiles = options.envFiles.map((path) => path.replace(/^-/, ""));
  const files = new WatchedFiles(
    [...configs, ...envFiles, ...options.watch],
    [...rendered, ...service.pidFile === undefined ? [] : [service.pidFile]],
  );
  if (seen === undefined) await WatchedFiles.insist(options.watch);
  const times = { ...WATCH, interval: options.watchInterval };
  return new Watch(files, times, poller, log, reload, seen);
}
