/** A first argument that is no subcommand: says so, with a suggestion. */

import { Command } from "commander";
import { EXIT } from "../errors.ts";
import { parse } from "./options.ts";

/** Lets commander complain, which knows similar names. */
export async function run(args: readonly string[], names: readonly string[]): Promise<number> {
  const program = new Command("multibinder")
    .option("-V, --version")
    .helpOption("-h, --help")
    .showHelpAfterError(`(${advice(args)})`);
  for (const name of names) program.command(name);
  await parse(program, args.slice(0, 1));
  return EXIT.usage;
}

function advice(args: readonly string[]): string {
  const [first = ""] = args;
  const rest = args.join(" ");
  if (first.startsWith("-")) return `options follow a command, as in: multibinder bind ${rest}`;
  if (/:(\d+|\*)$/.test(first)) return `to listen there: multibinder bind ${rest}`;
  // The original was given the path of its control socket, and nothing else.
  if (/[./]/.test(first)) return `for a control socket there: multibinder bind --sock ${rest}`;
  return "multibinder --help lists the commands";
}
