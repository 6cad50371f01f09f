/** Watching the files that the next generation of a service is made of. */

import type { Launcher } from "./launcher.ts";
import type { WrapperOptions } from "./options.ts";
import type { ReloadOutcome } from "./reloads.ts";
import type { Watch, WatchState, WatchTimes } from "./watch.ts";

/** As in {@link WatchTimes}, in milliseconds. */
const TIMES: Omit<WatchTimes, "interval"> = { quiet: 500, period: 10_000 };

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
  // A start without --watch does not load these.
  const { Watch } = await import("./watch.ts");
  const { WatchedFiles } = await import("./watched_files.ts");
  const rendered = templates.map(({ target }) => target);
  // In the command of a server that has no file in src/servers/, a file may be a log.
  const configs = service.server.isAdjustable
    ? templates.map(({ template }) => template)
    : service.configs;
  const envFiles = options.envFiles.map((path) => path.replace(/^-/, ""));
  const files = new WatchedFiles(
    [...configs, ...envFiles, ...options.watch],
    [...rendered, ...service.pidFile === undefined ? [] : [service.pidFile]],
  );
  if (seen === undefined) await WatchedFiles.insist(options.watch);
  const times = { ...TIMES, interval: options.watchInterval };
  return new Watch(files, times, poller, log, reload, seen);
}
