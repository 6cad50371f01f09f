/** What will do harm in an nginx and its config, as far as a look can tell. */

import { type Finding, fine } from "../../finding.ts";
import { readConfig } from "./listen_lines.ts";

/** Where nginx looks for its config when the command names none, by what it says of itself with `-V`. */
export function defaultConfig(said: string): string {
  return /--conf-path=(\S+)/.exec(said)?.[1] ?? "/usr/local/nginx/conf/nginx.conf";
}

/** Looks at what nginx says of itself with `-V`. */
export function examineBuild(said: string): Finding {
  const check = "server_version";
  const version = /^nginx version: (\S+)/m.exec(said)?.[1];
  return version === undefined
    ? { check, level: "unknown", message: "the program does not say which version of nginx it is" }
    : fine(check, version);
}

/**
 * Looks at a config.
 * @param path of the main file; what it includes is not looked at
 * @param text of that file; undefined when it cannot be read
 * @param directives of the command line (-g)
 */
export function examineConfig(
  path: string,
  text: string | undefined,
  directives: string,
): Finding[] {
  if (text === undefined) {
    return [{ check: "config", level: "unknown", message: `${path} cannot be read from here` }];
  }
  const { listens, shutdownTimeout } = readConfig(
    `# configuration file ${path}:\n${text}\n${directives};`,
  );
  const check = "worker_shutdown_timeout";
  const own = listens.filter(({ reuseport }) => reuseport).map(({ at, text }): Finding => ({
    check: "reuseport",
    level: "failure",
    message:
      `${at}: ${text}: each worker binds a socket of its own, and what waits there is lost with it`,
    remedy: "leave reuseport out, and --listen the address",
  }));
  return [
    ...own,
    shutdownTimeout !== undefined ? fine(check, `${check} is ${shutdownTimeout} (${path})`) : {
      check,
      level: "warning",
      message: `${path} has no ${check}: only multibinder's --drain ends the drain of an old ` +
        "generation whose clients stay, and nothing does while no wrapper runs",
      remedy: `write "${check} 10m;" at its top`,
    },
  ];
}
