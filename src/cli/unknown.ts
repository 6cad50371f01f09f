/** A first argument that is no subcommand: says so, with a suggestion. */

import { Command } from "commander";
import { EXIT } from "../errors.ts";
import { parse } from "./options.ts";

/** Lets commander complain, which knows similar names. */
export async function run(args: readonly string[]): Promise<number> {
  const program = new Command("multibinder").showHelpAfterError("(multibinder --help lists them)");
  for (
    const name of ["bind", "exec", "render", "status", "unbind", "reload", "upgrade", "healthcheck"]
  ) {
    program.command(name);
  }
  await parse(program, args);
  return EXIT.usage;
}
