/** A first word that is no command. */

import { EXIT, UserError } from "../errors.ts";
import { suggest } from "./suggestion.ts";

/**
 * What is wrong, and what may have been meant.
 * @param args the whole command line
 * @param names the commands that there are
 */
export function unknownCommand(args: readonly string[], names: readonly string[]): UserError {
  const [first = ""] = args;
  const isOption = first.startsWith("-");
  const known = isOption ? ["--version", "--help"] : names;
  const what = `unknown ${isOption ? "option" : "command"} ${first}${suggest(first, known)}`;
  return new UserError(`${what} (${advice(first, args.join(" "))})`, { exitCode: EXIT.usage });
}

function advice(first: string, all: string): string {
  if (first.startsWith("-")) return `options follow a command, as in: multibinder bind ${all}`;
  if (/:(\d+|\*)$/.test(first)) return `to listen there: multibinder bind ${all}`;
  // The original's call takes no options.
  if (/[./]/.test(first)) return `for a control socket there: multibinder bind --sock ${all}`;
  return "multibinder --help lists the commands";
}
