/** Parses a subcommand's command line. */

import { parseArgs } from "@std/cli/parse-args";
import { EXIT, UserError } from "../errors.ts";
import type { Option, Options, ValueOption } from "./option.ts";
import { type CommandLine, COMMON_OPTIONS, type Subcommand, variableOf } from "./subcommand.ts";

/** A value in a config file. */
export interface Setting {
  text: string;
  /** Its place, as FILE:LINE. */
  at: string;
}

/**
 * Parses the words after a subcommand's name.
 * @param configured values from a config file, by the names of options: they are used for options that neither the
 *   command line nor the environment has
 * @returns the options and the other words; or "help" when that is asked for, whatever else may be wrong
 * @throws {UserError} with the exit code for usage
 */
export async function parseCommandLine<O extends Options>(
  subcommand: Subcommand<O>,
  args: readonly string[],
  configured: ReadonlyMap<string, readonly Setting[]> = new Map(),
): Promise<CommandLine<O> | "help"> {
  const known: Options = { ...subcommand.options, ...COMMON_OPTIONS };
  const takesCommand = subcommand.argument?.count === "command";
  const { own, rest } = split(args, known, takesCommand);
  if (own.includes("--help=") || own.includes("-h")) return "help";
  const unknown: string[] = [];
  const words: string[] = [];
  const names = Object.keys(known);
  // Each option is a list, so that one that is given twice is noticed; and its values are texts, since parseArgs
  // would make numbers of some.
  const parsed = parseArgs(own, {
    string: names,
    collect: names,
    unknown: (word, key) => {
      (key === undefined ? words : unknown).push(word);
      return false;
    },
  });
  const [wrong] = unknown;
  if (wrong !== undefined) throw await unknownOption(subcommand, wrong, names);
  words.push(...rest);
  const values = Object.entries(known).map(([name, option]) => {
    const given = parsed[name];
    const texts = Array.isArray(given) ? given.map(String) : [];
    return [name, valueOf(subcommand, name, option, texts, configured.get(name) ?? [])];
  });
  checkWords(subcommand, words);
  // Each value was read by its own option, and so has the type that the table gives it.
  return { options: Object.fromEntries(values), words, args } as CommandLine<O>;
}

/**
 * Splits the words into the subcommand's own and the rest, which are those behind `--`, or from the name of another
 * program on. An option's value is joined to its name: parseArgs would take one that begins with a dash for an option.
 */
function split(
  args: readonly string[],
  known: Options,
  takesCommand: boolean,
): { own: string[]; rest: readonly string[] } {
  const own: string[] = [];
  for (let at = 0; at < args.length; at++) {
    const word = args[at] ?? "";
    if (word === "--") return { own, rest: args.slice(at + 1) };
    if (takesCommand && (word === "-" || !word.startsWith("-"))) {
      return { own, rest: args.slice(at) };
    }
    const option = word.startsWith("--") ? ownValue(known, word.slice(2)) : undefined;
    const next = args[at + 1];
    const takesNext = option?.placeholder !== undefined && next !== undefined &&
      next !== "--" && !isOption(known, next);
    if (option === undefined) own.push(word);
    else own.push(takesNext ? `${word}=${next}` : `${word}=`);
    if (takesNext) at++;
  }
  return { own, rest: [] };
}

/** Whether a word is one of the options, and so not the value of the option before it. */
function isOption(known: Options, word: string): boolean {
  const name = /^--([^=]+)/.exec(word)?.[1] ?? "";
  return ownValue(known, name) !== undefined;
}

function ownValue<T>(object: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

/** What the environment may say of an option without a value. */
const TRUTH: Readonly<Record<string, boolean>> = { 1: true, true: true, 0: false, false: false };

/**
 * The value of an option.
 * @param texts what it was given on the command line, each time; an empty text for an option without a value
 * @param settings what it was given in a config file
 */
function valueOf(
  subcommand: Subcommand,
  name: string,
  option: Option,
  texts: readonly string[],
  settings: readonly Setting[],
): unknown {
  const wrong = (why: string) => usageError(subcommand, `--${name} ${why}`);
  const { placeholder } = option;
  if (placeholder === undefined && texts.some((text) => text !== "")) throw wrong("takes no value");
  if (placeholder !== undefined && texts.includes("")) throw wrong(`lacks its ${placeholder}`);
  const [, second] = texts;
  if (second !== undefined && (placeholder === undefined || !option.repeatable)) {
    throw wrong("is given more than once");
  }
  const environment = variableOf(subcommand, name, option) ?? "";
  const inherited = environment && Deno.env.get(environment) || "";
  const inEnvironment = (text: string, why: string) =>
    usageError(subcommand, `the environment's ${environment}, "${text}": ${why}`);
  if (placeholder === undefined) {
    if (texts.length > 0 || inherited === "") return texts.length + settings.length > 0;
    if (!Object.hasOwn(TRUTH, inherited)) throw inEnvironment(inherited, "it must be 1 or 0");
    return TRUTH[inherited];
  }
  const { repeatable } = option;
  const listed = repeatable ? inherited.split(/\s+/) : [inherited];
  const sources = [
    texts.map((text) => ({ text, wrong: (why: string) => wrong(`"${text}": ${why}`) })),
    listed.filter((text) => text !== "").map((text) => ({
      text,
      wrong: (why: string) => inEnvironment(text, why),
    })),
    settings.map(({ text, at }) => ({
      text,
      wrong: (why: string) =>
        new UserError(`${at}: ${name} "${text}": ${why}`, { exitCode: EXIT.usage }),
    })),
  ];
  const found = sources.find(({ length }) => length > 0) ?? [];
  const values = found.map(({ text, wrong }) => readValue(option, text, wrong));
  if (repeatable) return values;
  if (values.length > 0) return values[0];
  return option.default === undefined ? undefined : readValue(option, option.default, wrong);
}

/** Reads a value. @param wrong makes an error of what it must be */
function readValue(option: ValueOption, text: string, wrong: (why: string) => UserError): unknown {
  const { choices, read } = option;
  if (choices && !choices.includes(text)) throw wrong(`it must be one of ${choices.join(", ")}`);
  try {
    return read ? read(text) : text;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw wrong(error.message);
  }
}

function checkWords(subcommand: Subcommand, words: readonly string[]): void {
  const { argument } = subcommand;
  const most = argument === undefined ? 0 : argument.count === "one" ? 1 : Infinity;
  const surplus = words[most];
  if (surplus !== undefined) throw usageError(subcommand, `"${surplus}" is one argument too many`);
  const { choices } = argument ?? {};
  const wrong = choices && words.find((word) => !choices.includes(word));
  if (wrong !== undefined) {
    const all = choices?.join(", ");
    throw usageError(subcommand, `"${wrong}": ${argument?.name} must be one of ${all}`);
  }
  if (argument === undefined || argument.count === "any" || words.length > 0) return;
  throw usageError(subcommand, `${argument.name} is missing: ${argument.about}`);
}

async function unknownOption(
  subcommand: Subcommand,
  word: string,
  names: readonly string[],
): Promise<UserError> {
  const option = /^-+[^-=][^=]*/.exec(word)?.[0] ?? word;
  const { suggest } = await import("./suggestion.ts");
  const known = names.map((name) => `--${name}`);
  return usageError(subcommand, `unknown option ${option}${suggest(option, known)}`);
}

function usageError({ name }: Subcommand, why: string): UserError {
  const message = `${name}: ${why} (multibinder ${name} -h shows the options)`;
  return new UserError(message, { exitCode: EXIT.usage });
}
