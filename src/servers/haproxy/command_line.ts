/**
 * HAProxy's command line (its management guide, section 3).
 *
 * HAProxy runs in the foreground and without a master process: the wrapper is its supervisor. What would
 * get in the way of that is taken out of the command.
 * @module
 */

import { UserError } from "../../errors.ts";
import type { RenderedFiles, Words } from "../launch.ts";

/** Options that take a value as a word of their own (usage() of haproxy.c). */
const WITH_VALUE = new Set(["-f", "-n", "-N", "-p", "-m", "-C", "-L", "-x", "-S", "-cc"]);
/**
 * Options that the wrapper makes needless; `-S` and `-x` with their values. They are for daemons and for
 * master processes, and `-x` fetches the sockets of a process before, which does not exist at a first
 * start: HAProxy would end there.
 */
const DROPPED = new Set(["-D", "-Ds", "-W", "-Ws", "-db", "-S", "-x"]);
/** Options after which HAProxy says something and ends, whatever config there is. */
const QUESTIONS = new Set(["-v", "-vv", "-cc", "-h", "-hh", "--help"]);
/** What HAProxy takes for a pid; no pid of Linux has more digits. */
const PID = /^[1-9]\d{0,6}$/;

/** A command that runs HAProxy. */
export const EXAMPLE = "haproxy -f site.cfg.eta";

/** A config file named in the command. */
interface ConfigFile {
  /** As it can be opened: with the folder of `-C` before it. */
  path: string;
  /** Where its name stands in {@link CommandLine.words}. */
  index: number;
}

/** HAProxy's command line, understood. */
export interface CommandLine {
  /** Without what the wrapper takes care of. */
  words: Words;
  /** Where further options can go: before a `--`. */
  optionsEnd: number;
  configs: readonly ConfigFile[];
  /** From `-C`: the folder in which HAProxy looks for files, "" for the current one. */
  folder: string;
  /** From `-p`: kept up to date by the wrapper. */
  pidFile?: string;
  /** From `-sf` and `-st`: processes that the first generation replaces. */
  replaces: { stop: "soft" | "hard"; pids: readonly number[] };
  /** `run`, only `check` the config (`-c`), or just ask HAProxy a `question`, as with `-v`. */
  purpose: "run" | "check" | "question";
}

/**
 * Understands a command line of HAProxy.
 * @throws {UserError} when an option lacks its value, or there is no config
 */
export function parseCommandLine(argv: Words): CommandLine {
  const words: [string, ...string[]] = [argv[0]];
  const configs: { name: string; index: number }[] = [];
  const command: Omit<CommandLine, "words" | "configs" | "optionsEnd"> = {
    folder: "",
    replaces: { stop: "soft", pids: [] },
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
      command.replaces = { stop: word === "-sf" ? "soft" : "hard", pids };
      continue;
    }
    const value = WITH_VALUE.has(word) ? argv[++at] : undefined;
    if (value === undefined && WITH_VALUE.has(word)) {
      throw new UserError(`${argv[0]}: the option ${word} lacks its value`);
    }
    if (DROPPED.has(word)) continue;
    if (word === "-c") command.purpose = "check";
    if (QUESTIONS.has(word)) command.purpose = "question";
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
  if (configs.length === 0 && command.purpose !== "question") {
    throw new UserError(
      `${argv[0]}: no config; name one, as in \`multibinder exec -- ${EXAMPLE}\``,
    );
  }
  // Only now: HAProxy changes to the folder once it has read all options, whatever their order.
  const understood = configs.map(({ name, index }) => ({
    path: within(command.folder, name),
    index,
  }));
  if (pidFile !== undefined) command.pidFile = within(command.folder, pidFile);
  return { ...command, words, configs: understood, optionsEnd };
}

function within(folder: string, name: string): string {
  return name.startsWith("/") || folder === "" ? name : `${folder}/${name}`;
}

/**
 * The command with rendered files in the place of templates.
 * @param options added to it
 */
export function toArgv(
  command: CommandLine,
  files: RenderedFiles,
  options: readonly string[] = [],
): Words {
  const [program, ...rest] = command.words;
  const words = [...rest];
  for (const { index, path } of command.configs) {
    const target = files.get(path);
    if (target === undefined) continue;
    // A target is named from our folder, which is not HAProxy's after `-C`.
    words[index - 1] = command.folder === "" ? target : within(Deno.cwd(), target);
  }
  const end = command.optionsEnd - 1;
  return [program, ...words.slice(0, end), ...options, ...words.slice(end)];
}
