/**
 * HAProxy's command line and signals (its management guide, sections 3 and 4).
 *
 * The server is run in the foreground (`-db`, whatever its config says of `daemon`) and without a master
 * process: the wrapper is its supervisor. What would get in the way of that is taken out of the command.
 *
 * Readiness: HAProxy sends SIGUSR1 to each pid after `-sf` once it has bound everything, and not before.
 * The pid that it is given is that of a latch, a process of ours whose death by that signal is the news.
 * The old generations' pids are not given: the wrapper retires them itself, when the new one has proven to
 * stay, and they are spared the SIGTTOU by which HAProxy makes its predecessors let go of ports.
 * @module
 */

import { UserError } from "../errors.ts";
import type { Level } from "../log.ts";
import { withoutServiceVariables } from "../systemd/environment.ts";

/** Endings that make a config file a template; the rendered file has the name without it. */
const TEMPLATE = /\.(eta|erb|mb)$/;

/** Options that take a value as a word of their own (usage() of haproxy.c). */
const WITH_VALUE = new Set(["-f", "-n", "-N", "-p", "-m", "-C", "-L", "-x", "-S", "-cc"]);
/** Options for daemons and masters, which the wrapper makes needless; `-S` with its value. */
const DROPPED = new Set(["-D", "-Ds", "-W", "-Ws", "-db", "-S"]);
/** What HAProxy takes for a pid; no pid of Linux has more digits. */
const PID = /^[1-9]\d{0,6}$/;

/** Signals of HAProxy without a master. */
export const SOFT_STOP = "SIGUSR1";
export const HARD_STOP = "SIGTERM";

/** A config file named in the command. */
export interface ConfigFile {
  /** As it can be opened: with the folder of `-C` before it. */
  path: string;
  isTemplate: boolean;
  /** Where its name stands in {@link Command.words}. */
  index: number;
}

/** HAProxy's command line, understood. */
export interface Command {
  /** Without what the wrapper takes care of. */
  words: readonly [string, ...string[]];
  /** Where further options can go: before a `--`. */
  optionsEnd: number;
  configs: readonly ConfigFile[];
  /** From `-C`: the folder in which HAProxy looks for files, "" for the current one. */
  folder: string;
  /** From `-p`: kept up to date by the wrapper. */
  pidFile?: string;
  /** From `-sf` and `-st`: processes that the first generation replaces. */
  replaces: { signal: typeof SOFT_STOP | typeof HARD_STOP; pids: number[] };
  /** `run`, only `check` the config (`-c`), or just ask HAProxy `something` (`-v`, `-cc`). */
  purpose: "run" | "check" | "something";
}

/**
 * Understands a command line of HAProxy.
 * @throws {UserError} when an option lacks its value, or there is no config
 */
export function parseCommand(argv: readonly [string, ...string[]]): Command {
  const words: [string, ...string[]] = [argv[0]];
  const configs: { name: string; index: number }[] = [];
  const command: Omit<Command, "words" | "configs" | "optionsEnd"> = {
    folder: "",
    replaces: { signal: SOFT_STOP, pids: [] },
    purpose: "run",
  };
  let pidFile: string | undefined;
  const addConfig = (name: string) => {
    configs.push({ name, index: words.length });
    words.push(name);
  };

  let at = 1;
  for (; at < argv.length && argv[at] !== "--"; at++) {
    const word = argv[at] ?? "";
    if (word === "-sf" || word === "-st") {
      const pids: number[] = [];
      while (PID.test(argv[at + 1] ?? "")) pids.push(Number(argv[++at]));
      command.replaces = { signal: word === "-sf" ? SOFT_STOP : HARD_STOP, pids };
      continue;
    }
    const value = WITH_VALUE.has(word) ? argv[++at] : undefined;
    if (value === undefined && WITH_VALUE.has(word)) {
      throw new UserError(`${argv[0]}: the option ${word} lacks its value`);
    }
    if (DROPPED.has(word)) continue;
    if (word === "-c") command.purpose = "check";
    if (word === "-v" || word === "-vv" || word === "-cc") command.purpose = "something";
    if (word === "-p") {
      pidFile = value;
      continue;
    }
    if (word === "-C") command.folder = value ?? "";
    words.push(word);
    if (word === "-f") addConfig(value ?? "");
    else if (value !== undefined) words.push(value);
  }
  const optionsEnd = words.length;
  for (; at < argv.length; at++) {
    if (argv[at] === "--") words.push("--");
    else addConfig(argv[at] ?? "");
  }
  if (configs.length === 0 && command.purpose !== "something") {
    throw new UserError(
      `${argv[0]}: no config; multibinder exec runs HAProxy, as in ` +
        "`multibinder exec -- haproxy -f site.cfg.eta`",
    );
  }
  // Only now: HAProxy changes to the folder once it has read all options, whatever their order.
  const understood = configs.map(({ name, index }) => {
    const path = within(command.folder, name);
    return { path, isTemplate: TEMPLATE.test(name), index };
  });
  if (pidFile !== undefined) command.pidFile = within(command.folder, pidFile);
  return { ...command, words, configs: understood, optionsEnd };
}

function within(folder: string, name: string): string {
  return name.startsWith("/") || folder === "" ? name : `${folder}/${name}`;
}

/** The name of a template's rendered file. */
export function renderedName(path: string): string {
  return path.replace(TEMPLATE, "");
}

/**
 * The command with rendered files in the place of templates.
 * @param targets the rendered file of each template, by the template's path
 * @param options added to it
 */
export function toArgv(
  command: Command,
  targets: ReadonlyMap<string, string>,
  options: readonly string[],
): [string, ...string[]] {
  const [program, ...rest] = command.words;
  const words = [...rest];
  for (const { index, path } of command.configs) {
    const target = targets.get(path);
    if (target === undefined) continue;
    // A target is named from our folder, which is not HAProxy's after `-C`.
    words[index - 1] = command.folder === "" ? target : within(Deno.cwd(), target);
  }
  const end = command.optionsEnd - 1;
  return [program, ...words.slice(0, end), ...options, ...words.slice(end)];
}

/** Options that make HAProxy check its config; the sockets must be in place. */
export const CHECK_OPTIONS = ["-c"];

/** Options that start a generation which tells `latch` when it is up. */
export function startOptions(latch: number): string[] {
  return ["-db", "-sf", String(latch)];
}

/** How grave a line that HAProxy writes is. */
export function levelOf(line: string): Level {
  if (line.startsWith("[NOTICE]")) return "info";
  return line.startsWith("[WARNING]") ? "warn" : "error";
}

/** The environment for HAProxy: without what a master leaves to its workers, and what systemd told us. */
export function cleanEnvironment(env: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(withoutServiceVariables(env)).filter(([name]) =>
      !/^HAPROXY_(MWORKER|PROCESSES)/.test(name)
    ),
  );
}
