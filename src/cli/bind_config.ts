/**
 * The config file of `multibinder bind`: TOML, with the names of the options, and `addresses`. The command line and
 * the environment override its options; its addresses are added to theirs.
 */

import { EXIT, messageOf, UserError } from "../errors.ts";
import { readInputText } from "../input_file.ts";
import type { Setting } from "./command_line.ts";
import type { Option, Options } from "./option.ts";

/** What stands in a config file. */
export interface Config {
  addresses: readonly Setting[];
  /** Whether it has a list of addresses, to hold or to allow, be it empty. */
  hasLists: boolean;
  /** By the names of options. */
  settings: ReadonlyMap<string, readonly Setting[]>;
}

const ADDRESSES = "addresses";

/** Options that a config file cannot have. */
const NOT_IN_FILE = ["config", "check", "help", "take"];

/**
 * Reads a config file.
 * @param options all that the command line can have
 * @throws {UserError} with the file and the line, when it cannot be read, or has what is no setting
 */
export async function readConfig(path: string, options: Options): Promise<Config> {
  const text = readFile(path);
  const settings = new Map<string, readonly Setting[]>();
  const known = new Map<string, Option>(
    Object.entries(options).filter(([name]) => !NOT_IN_FILE.includes(name)),
  );
  known.set(ADDRESSES, { placeholder: "ADDRESS", about: "an address", repeatable: true });
  const lines = new Lines(text);
  for (const [name, value] of Object.entries(await parse(path, text))) {
    const wrong = (why: string) => usageError(`${path}:${lines.of(name)}: ${name} ${why}`);
    const option = known.get(name);
    if (option === undefined) {
      const { suggest } = await import("./suggestion.ts");
      const commands = "multibinder help bind lists the options, which are the names here";
      throw wrong(`is no setting${suggest(name, [...known.keys()]) || `; ${commands}`}`);
    }
    const isRepeatable = option.placeholder !== undefined && option.repeatable;
    if (Array.isArray(value) && !isRepeatable) throw wrong("takes one value, not a list");
    settings.set(
      name,
      [value].flat().map((one) => textOf(one, option, wrong)).filter((one) => one !== undefined)
        .map((one) => ({ text: one, at: `${path}:${lines.of(name, one)}` })),
    );
  }
  const addresses = settings.get(ADDRESSES) ?? [];
  const hasLists = settings.has(ADDRESSES) || settings.has("allow");
  settings.delete(ADDRESSES);
  return { addresses, hasLists, settings };
}

/** Puts the place of a value in the file in front of an error that quotes the value. */
export function withPlace(error: unknown, { addresses, settings }: Config): unknown {
  if (!(error instanceof UserError)) return error;
  const quoted = [...error.message.matchAll(/"([^"]*)"/g)].map(([, text]) => text);
  const all = [...addresses, ...[...settings.values()].flat()];
  const setting = all.find(({ text }) => quoted.includes(text));
  if (setting === undefined || error.message.startsWith(setting.at)) return error;
  return new UserError(`${setting.at}: ${error.message}`, { cause: error, exitCode: EXIT.usage });
}

function readFile(path: string): string {
  try {
    return readInputText(path);
  } catch (error) {
    throw usageError(`cannot read the config ${path}: ${messageOf(error)}`);
  }
}

async function parse(path: string, text: string): Promise<Record<string, unknown>> {
  // Loaded for a config alone: a start without one does not pay for it.
  const { parse, TomlError } = await import("smol-toml");
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // The message goes on with the line of the file, which is not shown.
    const [why = ""] = error.message.split("\n");
    throw usageError(`${path}:${error.line}: ${why}`);
  }
}

/** A value as one would write it on the command line; undefined for an option that is off. */
function textOf(
  value: unknown,
  { placeholder }: Option,
  wrong: (why: string) => Error,
): string | undefined {
  if (placeholder === undefined) {
    if (typeof value === "boolean") return value ? "true" : undefined;
    throw wrong("must be true or false");
  }
  if (typeof value === "string" && value !== "") return value;
  // Only there: elsewhere, digits may be octal, or a name.
  if (typeof value === "number" && placeholder === "N") return String(value);
  throw wrong(placeholder === "N" ? "must be a number" : "must be a text in quotes");
}

/** The lines on which things stand in a text. It is read once, since there may be ten thousand addresses. */
class Lines {
  readonly #names = new Map<string, number>();
  /** The lines that have a certain value in quotes. */
  readonly #values = new Map<string, number[]>();

  constructor(text: string) {
    text.split("\n").forEach((line, index) => {
      const [, name] = /^\s*\[*["']?([^"'\s=\].]+)/.exec(line) ?? [];
      if (name !== undefined && !this.#names.has(name)) this.#names.set(name, index + 1);
      for (const [, double, single = ""] of line.matchAll(/"([^"]*)"|'([^']*)'/g)) {
        const value = double ?? single;
        this.#values.set(value, [...this.#values.get(value) ?? [], index + 1]);
      }
    });
  }

  /** The line where a name is set, or where a value of its list stands. */
  of(name: string, value?: string): number {
    const start = this.#names.get(name) ?? 1;
    const values = value === undefined ? undefined : this.#values.get(value);
    return values?.find((line) => line >= start) ?? start;
  }
}

function usageError(message: string): UserError {
  return new UserError(message, { exitCode: EXIT.usage });
}
