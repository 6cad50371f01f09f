/** `--help`, made from the table of commands. */

import type { Option, Options } from "./option.ts";
import {
  type Argument,
  COMMON_EXIT_CODES,
  COMMON_OPTIONS,
  type Subcommand,
  synopsis,
  variableOf,
} from "./subcommand.ts";

/** Columns of a terminal, and its lines without that of the prompt. */
const [WIDTH, HEIGHT] = [80, 23];

const NO_BREAK = "\u00a0";

/** Examples that a summary begins with. */
const EXAMPLES_SHOWN = 2;

/** The help of the whole program. */
export function programHelp(commands: readonly Subcommand[]): string {
  const rows = commands.map(({ name, about }): Row => [name, about]);
  return [
    "Replace a server without losing a connection.\n",
    `${commands.slice(0, 2).map(({ examples = [] }) => `  ${examples[0]} &\n`).join("")}`,
    `Usage: multibinder COMMAND [OPTIONS], or multibinder --version\n${table(rows)}`,
    "`multibinder COMMAND --help` is a summary, `multibinder help COMMAND` tells all.\n",
  ].join("\n");
}

/** The help that fits on a screen: examples and options; of many options, the last ones by name alone. */
export function summary(subcommand: Subcommand): string {
  const rows = optionRows(subcommand);
  // It is not broken into lines, so that it can be copied.
  const more = `\`multibinder help ${subcommand.name}\``.replaceAll(" ", NO_BREAK) + " tells all";
  for (let shown = rows.length;; shown--) {
    const hidden = rows.slice(shown).map(([term]) => term.replace(/ [A-Z].*/, ""));
    const footer = hidden.length > 0 ? `Also ${hidden.join(", ")}; ${more}.` : `${more}.`;
    const text = [
      head(subcommand),
      `Options:\n${table(rows.slice(0, shown))}`,
      `${wrap(footer, WIDTH).join("\n").replaceAll(NO_BREAK, " ")}\n`,
    ].join("\n");
    if (shown === 0 || text.split("\n").length - 1 <= HEIGHT) return text;
  }
}

/** All there is to know of a subcommand. */
export function fullHelp(subcommand: Subcommand): string {
  const { sections = {}, examples = [], exitCodes } = subcommand;
  const codes = Object.entries({ ...COMMON_EXIT_CODES, ...exitCodes });
  const others = examples.slice(EXAMPLES_SHOWN);
  return [
    head(subcommand),
    `Options:\n${table(optionRows(subcommand))}`,
    ...Object.entries(sections).map(([title, text]) => `${title}:\n${indent(text)}`),
    `In the environment:\n${indent(aboutVariables(subcommand))}`,
    `Exit codes:\n${table(codes)}`,
    ...others.length > 0 ? [`More examples:\n${indent(others.join("\n"))}`] : [],
  ].join("\n");
}

/** What the environment may have in place of options. */
export function aboutVariables(subcommand: Subcommand): string {
  const all: Options = { ...subcommand.options, ...COMMON_OPTIONS };
  const names = Object.entries(all).flatMap(([name, option]) =>
    variableOf(subcommand, name, option) ?? []
  );
  return wrap(
    "These are for options that the command line does not have. Where one may be repeated, there is " +
      `white space between its values; where it has no value, 1 stands for it: ${
        names.join(", ")
      }.`,
    WIDTH - 2,
  ).join("\n");
}

function head(subcommand: Subcommand): string {
  const { about, argument, examples = [] } = subcommand;
  const words = argument ? table([[argument.name, aboutArgument(argument)]]) : "";
  return [
    `${sentence(about)}\n`,
    indent(examples.slice(0, EXAMPLES_SHOWN).join("\n")),
    `Usage: multibinder ${synopsis(subcommand)}\n${words}`,
  ].join("\n");
}

/** What a command does, as a sentence. */
export function sentence(about: string): string {
  return `${about.charAt(0).toUpperCase()}${about.slice(1)}.`;
}

/** What an argument is, and which words are accepted. */
export function aboutArgument({ about, choices }: Argument): string {
  return choices ? `${about}: ${choices.join(", ")}` : about;
}

/** Each option, and what it does. */
export function optionRows({ options }: Subcommand): Row[] {
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
  return text.replace(/^\n+|\s+$/g, "").split("\n").map((line) =>
    line === "" ? "\n" : `  ${line}\n`
  ).join("");
}
