/** Understands a subcommand's command line. */

import { parseArgs } from "@std/cli/parse-args";
import { EXIT, UserError } from "../errors.ts";
import type { Option, Options, ValueOption } from "./option.ts";
import { type CommandLine, COMMON_OPTIONS, type Subcommand } from "./subcommand.ts";

/** A command line asks for help: for all of it, or for a summary. */
export type Help = "help" | "summary";

/**
 * Understands the words after a subcommand's name.
 * @returns the options and the other words; or which help is asked for, whatever else may be wrong
 * @throws {UserError} with the exit code for usage
 */
export async function parseCommandLine<O extends Options>(
  subcommand: Subcommand<O>,
  args: readonly string[],
): Promise<CommandLine<O> | Help> {
  const known: Options = { ...subcommand.options, ...COMMON_OPTIONS };
  const takesCommand = subcommand.argument?.count === "command";
  const { own, rest } = split(args, known, takesCommand);
  if (own.includes("--help=")) return "help";
  if (own.includes("-h")) return "summary";
  const unknown: string[] = [];
  const names = Object.keys(known);
  // Each option is a list, so that one that is given twice is seen; and a text, as a number is no value.
  const parsed = parseArgs(own, {
    string: [...names, "_"],
    collect: names,
    unknown: (word, key) => {
      if (key === undefined) return true;
      unknown.push(word);
      return false;
    },
  });
  const [wrong] = unknown;
  if (wrong !== undefined) throw await unknownOption(subcommand, wrong, names);
  const words = [...parsed._.map(String), ...rest];
  const values = Object.entries(known).map(([name, option]) => {
    const texts = parsed[name];
    return [name, valueOf(subcommand, name, option, Array.isArray(texts) ? texts.map(String) : [])];
  });
  checkWords(subcommand, words);
  // The table has the types, and each value came through its own row.
  return { options: Object.fromEntries(values), words } as CommandLine<O>;
}

/**
 * Takes the words apart: the subcommand's own, and those behind `--`, or from another program's name on. An
 * option's value is joined to its name, for it may begin with a dash: parseArgs would take it for an option.
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

/** Whether a word is one of the options, and so no other one's value. */
function isOption(known: Options, word: string): boolean {
  const name = /^--([^=]+)/.exec(word)?.[1] ?? "";
  return ownValue(known, name) !== undefined;
}

function ownValue<T>(object: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

/** What an option comes to. @param texts how often, and with what, it was given */
function valueOf(
  subcommand: Subcommand,
  name: string,
  option: Option,
  texts: readonly string[],
): unknown {
  const wrong = (why: string) => usageError(subcommand, `--${name} ${why}`);
  const { placeholder } = option;
  if (placeholder === undefined && texts.some((text) => text !== "")) throw wrong("takes no value");
  if (placeholder !== undefined && texts.includes("")) throw wrong(`lacks its ${placeholder}`);
  if (placeholder !== undefined && option.repeatable) {
    return texts.map((text) => readValue(option, text, (why) => wrong(`"${text}": ${why}`)));
  }
  if (texts.length > 1) throw wrong("is given more than once");
  if (placeholder === undefined) return texts.length > 0;
  const { about, environment = "", required } = option;
  const [given] = texts;
  if (given !== undefined) return readValue(option, given, (why) => wrong(`"${given}": ${why}`));
  const found = environment && Deno.env.get(environment);
  if (found) {
    return readValue(
      option,
      found,
      (why) => usageError(subcommand, `the environment's ${environment}, "${found}": ${why}`),
    );
  }
  if (option.default !== undefined) return readValue(option, option.default, wrong);
  if (!required) return undefined;
  throw wrong(`${placeholder} is needed${environment && `, or ${environment} set`}: ${about}`);
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
