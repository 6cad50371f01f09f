/** `--help`, made from the table of commands. */

import type { Option, Options } from "./option.ts";
import {
  argumentSynopsis,
  COMMON_EXIT_CODES,
  COMMON_OPTIONS,
  type Subcommand,
  synopsis,
} from "./subcommand.ts";

/** Columns of a terminal. */
const WIDTH = 80;

/** The help of the whole program. */
export function programHelp(commands: readonly Subcommand[]): string {
  const rows = commands.map(({ name, argument, about }): Row => [
    argument ? `${name} ${argumentSynopsis(argument)}` : name,
    about,
  ]);
  return [
    "multibinder: replace a server without losing a connection\n",
    "Usage: multibinder COMMAND [OPTIONS]\n",
    `Commands:\n${table(rows)}`,
    "Each has its own --help. `multibinder PATH` is short for\n`multibinder bind --sock PATH`.\n",
    `Options:\n${table([["-V, --version", "show the version"], ["-h, --help", "show this help"]])}`,
  ].join("\n");
}

/** What fits on a screen: the options, with what there is to know of each in a line. */
export function summary(subcommand: Subcommand): string {
  const { about, argument } = subcommand;
  return [
    `Usage: multibinder ${synopsis(subcommand)}\n`,
    `${about.charAt(0).toUpperCase()}${about.slice(1)}.\n`,
    ...argument ? [table([[argument.name, argument.about]])] : [],
    `Options:\n${table(optionRows(subcommand))}`,
  ].join("\n");
}

/** All there is to know of a subcommand. */
export function fullHelp(subcommand: Subcommand): string {
  const { sections = {}, examples = [], exitCodes } = subcommand;
  const codes = Object.entries({ ...COMMON_EXIT_CODES, ...exitCodes });
  return [
    summary(subcommand),
    ...Object.entries(sections).map(([title, text]) => `${title}:\n${indent(text)}`),
    `Exit codes:\n${table(codes)}`,
    ...examples.length > 0 ? [`Examples:\n${indent(examples.join("\n"))}`] : [],
  ].join("\n");
}

function optionRows({ options }: Subcommand): Row[] {
  const all: Options = { ...options, ...COMMON_OPTIONS };
  return Object.entries(all).map(([name, option]) => {
    const { placeholder } = option;
    const words = placeholder ? `--${name} ${placeholder}` : `--${name}`;
    return [name === "help" ? `-h, ${words}` : words, aboutOption(option)];
  });
}

/** What an option does, and what it is when it is not given. */
function aboutOption(option: Option): string {
  if (option.placeholder === undefined) return option.about;
  const { about, choices, default: value, environment, repeatable } = option;
  const either = [environment && `$${environment}`, value].filter((text) => text !== undefined);
  return [
    about,
    choices ? `: ${choices.join(", ")}` : "",
    repeatable ? "; repeatable" : "",
    either.length > 0 ? ` (default: ${either.join(", else ")})` : "",
  ].join("");
}

type Row = [term: string, meaning: string];

/** Terms and what they mean, in two columns. */
function table(rows: readonly Row[]): string {
  const width = Math.max(...rows.map(([term]) => term.length));
  return rows.map(([term, meaning]) => {
    const lines = wrap(meaning, WIDTH - width - 4);
    return lines.map((line, index) => `  ${(index === 0 ? term : "").padEnd(width)}  ${line}\n`)
      .join("");
  }).join("");
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const line = lines.at(-1);
    if (line === undefined || line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines;
}

function indent(text: string): string {
  return text.trim().split("\n").map((line) => line === "" ? "\n" : `  ${line}\n`).join("");
}
