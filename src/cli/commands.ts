/**
 * The table of commands: each is a file that describes it, and a line here. The file is loaded when its command is
 * chosen, or the whole table is needed; what the command needs to run is loaded when it runs.
 */

import type { Commands, Subcommand } from "./subcommand.ts";

/** How to load each subcommand, in the order of the help. */
export const COMMANDS: Commands = new Map([
  ["bind", () => import("./bind.ts")],
  ["exec", () => import("./exec.ts")],
  ["render", () => import("./render.ts")],
  ["ls", () => import("./ls.ts")],
  ["top", () => import("./top.ts")],
  ["status", () => import("./status.ts")],
  ["metrics", () => import("./metrics.ts")],
  ["unbind", () => import("./unbind.ts")],
  ["reload", () => import("./reload.ts")],
  ["stop", () => import("./stop.ts")],
  ["upgrade", () => import("./upgrade.ts")],
  ["healthcheck", () => import("./healthcheck.ts")],
  ["doctor", () => import("./doctor.ts")],
  ["completions", () => import("./completions.ts")],
]);

/**
 * Commands that multibinder and its completions start for their own use: they have no options, and the help does
 * not list them.
 */
export const INTERNAL = new Map<
  string,
  () => Promise<{ run(args: readonly string[], commands: Commands): number | Promise<number> }>
>([
  ["complete", () => import("./complete.ts")],
  ["self-check", () => import("./self_check.ts")],
  ["latch", () => import("./latch.ts")],
  ["become", () => import("./become.ts")],
  ["look", () => import("./look.ts")],
  ["unpoll", () => import("./unpoll.ts")],
]);

/** Loads the whole table. */
export async function allCommands(): Promise<Subcommand[]> {
  const modules = await Promise.all([...COMMANDS.values()].map((load) => load()));
  return modules.map(({ subcommand }) => subcommand);
}
