/**
 * `multibinder complete WORD...`, hidden: completes the last of the words. The scripts that `multibinder completions`
 * prints call it at each press of TAB, so that all shells complete the same.
 *
 * The first line that it prints is a {@link Kind}; each of the others is a word, a tab, and what the word means.
 */

import { ControlClient, DEFAULT_SOCK } from "../control/client.ts";
import { EXIT } from "../errors.ts";
import type { Option, Options } from "./option.ts";
import { print } from "./output.ts";
import { type Commands, COMMON_OPTIONS, type Subcommand } from "./subcommand.ts";

/**
 * What the shell completes with: the words that follow, names of files or folders, or what it knows of another
 * program, whose command line begins after so many words, `multibinder` among them.
 */
type Kind = "words" | "files" | "folders" | `command ${number}`;

/** How a word can be completed. */
export interface Completion {
  kind: Kind;
  /** What the word may become, each with what it means. */
  words: (readonly [word: string, about: string])[];
}

/** Milliseconds that a binder may take to say what it holds. */
const PATIENCE = 1000;

const NOTHING: Completion = { kind: "words", words: [] };

/** @param words of the command line up to the cursor, without `multibinder`; the last may be empty */
export async function run(words: readonly string[], commands: Commands): Promise<number> {
  const { kind, words: found } = await complete(words, commands, heldBy);
  print([kind, ...found.map((one) => one.join("\t"))].map((line) => `${line}\n`).join(""));
  return EXIT.ok;
}

/**
 * Completes the last word.
 * @param held gives the addresses that the binder at a control socket holds
 */
export async function complete(
  words: readonly string[],
  commands: Commands,
  held: (sock: string) => Promise<string[]>,
): Promise<Completion> {
  const [name = "", ...rest] = words;
  const current = rest.at(-1) ?? name;
  if (rest.length === 0 || (name === "help" && rest.length === 1)) {
    const modules = await Promise.all([...commands.values()].map((load) => load()));
    const names = modules.map(({ subcommand: { name, about } }) => [name, about] as const);
    const others = [["help", "tell all of a command"], ["--version", "show the version"]] as const;
    return startingWith(current, rest.length === 0 ? [...names, ...others] : names);
  }
  const load = commands.get(name);
  return load ? await within((await load()).subcommand, rest, held) : NOTHING;
}

async function within(
  subcommand: Subcommand,
  words: readonly string[],
  held: (sock: string) => Promise<string[]>,
): Promise<Completion> {
  const { argument } = subcommand;
  const known: Options = { ...subcommand.options, ...COMMON_OPTIONS };
  const optionOf = (word: string) => {
    const name = /^--([^=]+)/.exec(word)?.[1] ?? "";
    return Object.hasOwn(known, name) ? known[name] : undefined;
  };
  const current = words.at(-1) ?? "";
  const given = new Set<string>();
  let hasEnded = false;
  for (let at = 0; at < words.length - 1; at++) {
    const word = words[at] ?? "";
    if (argument?.count === "command" && !word.startsWith("--")) return command(at);
    if (word === "--") {
      if (argument?.count === "command") return command(at + 1);
      hasEnded = true;
    }
    if (hasEnded) continue;
    given.add(/^--[^=]+/.exec(word)?.[0] ?? word);
    const option = optionOf(word);
    if (option?.placeholder === undefined || word.includes("=")) continue;
    at++;
    if (at === words.length - 1) return valuesOf(option, current, "");
  }
  if (current.startsWith("-") && !hasEnded) {
    const [joined] = /^--[^=]+=/.exec(current) ?? [];
    if (joined !== undefined) return valuesOf(optionOf(current), current, joined);
    const names = Object.entries(known).flatMap(([name, option]) => {
      const isRepeatable = option.placeholder !== undefined && option.repeatable;
      return given.has(`--${name}`) && !isRepeatable ? [] : [[`--${name}`, option.about] as const];
    });
    return startingWith(current, names);
  }
  if (argument?.count === "command") {
    return current === "" ? startingWith("", [["--", argument.about]]) : command(words.length - 1);
  }
  if (argument?.choices) return startingWith(current, argument.choices.map((one) => [one, ""]));
  if (argument?.name === "FILE") return { kind: "files", words: [] };
  if (!argument?.isHeld) return NOTHING;
  const addresses = await held(sockIn(words));
  const left = addresses.filter((address) => !words.slice(0, -1).includes(address));
  return startingWith(current, left.map((address) => [address, "held"]));
}

function command(at: number): Completion {
  // The words begin after `multibinder` and the subcommand's name.
  return { kind: `command ${at + 2}`, words: [] };
}

/**
 * Completes the value of an option, as its placeholder in the help tells.
 * @param joined the option and its `=`, where the value is in one word with them
 */
function valuesOf(option: Option | undefined, current: string, joined: string): Completion {
  if (option?.placeholder === undefined) return NOTHING;
  const words = (values: readonly string[]) =>
    startingWith(current, values.map((one) => [`${joined}${one}`, ""]));
  if (option.choices) return words(option.choices);
  switch (option.placeholder) {
    case "PATH":
    case "FILE":
      return { kind: "files", words: [] };
    case "DIR":
      return { kind: "folders", words: [] };
    case "USER":
      return words(namesIn("/etc/passwd"));
    case "GROUP":
      return words(namesIn("/etc/group"));
    default:
      return NOTHING;
  }
}

function startingWith(current: string, words: Completion["words"]): Completion {
  return { kind: "words", words: words.filter(([word]) => word.startsWith(current)) };
}

function namesIn(file: string): string[] {
  try {
    return Deno.readTextFileSync(file).split("\n").flatMap((line) =>
      /^([^:#]+):/.exec(line)?.[1] ?? []
    );
  } catch {
    return [];
  }
}

function sockIn(words: readonly string[]): string {
  const at = words.findLastIndex((word) => word === "--sock");
  const joined = words.findLast((word) => word.startsWith("--sock="))?.slice("--sock=".length);
  return joined || (at < 0 ? undefined : words[at + 1]) || Deno.env.get("MULTIBINDER_SOCK") ||
    DEFAULT_SOCK;
}

/** The addresses that a binder holds; none when no binder answers, since a completion is no place for an error. */
async function heldBy(sock: string): Promise<string[]> {
  try {
    using client = ControlClient.connect(sock, undefined, PATIENCE);
    const { sockets } = await client.call("status", []) as { sockets?: { address: string }[] };
    // The shell puts them on its command line as they are: one that would be more than a word there is left out.
    return (sockets ?? []).map(({ address }) => address).filter((one) =>
      /^[\w.:,@%*/[\]=+-]+$/.test(one)
    );
  } catch {
    return [];
  }
}
