/** A subcommand, as data. */

import { FORMATS, LEVELS } from "../log.ts";
import type { Option, Options, Values } from "./option.ts";

/** The words of a command line that are no options. */
export interface Argument {
  /** What stands for one of them in the help, in capitals. */
  name: string;
  about: string;
  /** How many there may be; `command` is another program's command line, at least one word, taken as it is. */
  count: "one" | "some" | "any" | "command";
  /** The only words that are accepted. */
  choices?: readonly string[];
  /** Whether the words are addresses that the binder at --sock holds: a shell completes them. */
  isHeld?: true;
}

/** A command line that was parsed. */
export interface CommandLine<O extends Options> {
  options: Values<O & typeof COMMON_OPTIONS>;
  /** The words that are no options. */
  words: readonly string[];
  /** All of the words, as they were given. */
  args: readonly string[];
}

/** What there is to know of a subcommand. */
export interface Subcommand<O extends Options = Options> {
  name: string;
  /** What it does, as the list of all commands has it: a line without a full stop. */
  about: string;
  argument?: Argument;
  /** Its own options, by their names; all subcommands have {@link COMMON_OPTIONS} as well. */
  options: O;
  /** Whether each option may also be given as an environment variable: for programs that run in containers. */
  environment?: true;
  /** Further sections of the help, by their titles. */
  sections?: Readonly<Record<string, string>>;
  /** Command lines as examples. */
  examples?: readonly string[];
  /** What its exit codes mean, where {@link COMMON_EXIT_CODES} do not say it. */
  exitCodes?: Readonly<Record<string, string>>;
  /** Runs it. @returns the exit code */
  run(line: CommandLine<O>): number | Promise<number>;
}

/** Loads the file of a subcommand. */
export type LoadCommand = () => Promise<{ subcommand: Subcommand }>;
/** How to load each subcommand, by its name. */
export type Commands = ReadonlyMap<string, LoadCommand>;

/** The options that every subcommand has. */
export const COMMON_OPTIONS = {
  "log-format": {
    placeholder: "FORMAT",
    about: "format of the log",
    choices: FORMATS,
    environment: "MULTIBINDER_LOG_FORMAT",
    default: "text",
  },
  "log-level": {
    placeholder: "LEVEL",
    about: "lowest level to log",
    choices: LEVELS,
    environment: "MULTIBINDER_LOG_LEVEL",
    default: "info",
  },
  "help": { about: "show this help", instead: true },
} as const satisfies Options;

/** The exit codes that every subcommand has. */
export const COMMON_EXIT_CODES = {
  "0": "done, or stopped as asked",
  "1": "what was asked for could not be done, as the message says",
  "2": "the command line is wrong",
} as const;

/** Defines a subcommand: the types of what `run` gets come from its options. */
export function defineSubcommand<const O extends Options>(
  subcommand: Subcommand<O>,
): Subcommand<O> {
  return subcommand;
}

/** The environment variable that has an option's value when the command line does not; undefined for none. */
export function variableOf(
  { environment }: Pick<Subcommand, "environment">,
  name: string,
  option: Option,
): string | undefined {
  const derived = environment && `MULTIBINDER_${name.toUpperCase().replaceAll("-", "_")}`;
  if (option.placeholder === undefined) return option.instead ? undefined : derived;
  return option.environment ?? derived;
}

/** The usage after `multibinder`. */
export function synopsis({ name, argument }: Subcommand): string {
  return `${name} [OPTIONS]${argument ? ` ${argumentSynopsis(argument)}` : ""}`;
}

/** How the words that are no options look. */
function argumentSynopsis({ name, count }: Argument): string {
  return { one: name, some: `${name}...`, any: `[${name}...]`, command: `-- ${name}...` }[count];
}
