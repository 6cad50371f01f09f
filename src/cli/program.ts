/** The program as a whole: chooses the subcommand. */

import { EXIT } from "../errors.ts";
import { insistOnLimits, isOriginalCall } from "../process/start.ts";
import { allCommands, COMMANDS, INTERNAL } from "./commands.ts";
import { print } from "./output.ts";
import type { LoadCommand } from "./subcommand.ts";

/**
 * Does what a command line says.
 * @returns the exit code
 * @throws {UserError} when it cannot be done, with the exit code
 */
export async function runProgram(args: readonly string[]): Promise<number> {
  insistOnLimits();
  const [name = "", ...rest] = args;
  const load = COMMANDS.get(name);
  if (load) return await run(load, rest);
  const internal = await INTERNAL.get(name)?.();
  if (internal) return await internal.run(rest, COMMANDS);
  switch (name) {
    case "help":
      print(await help(rest));
      return EXIT.ok;
    case "-h":
    case "--help":
      print(await help());
      return EXIT.ok;
  }
  if (args.length === 0) {
    print((await help()).trimEnd() + "\n", Deno.stderr);
    return EXIT.usage;
  }
  const { become, meaningOf, nameOfStart } = await import("./original_names.ts");
  const meant = meaningOf(nameOfStart(), args);
  if (meant) become(meant);
  if (isOriginalCall(args)) return await runProgram(["bind", "--sock", name]);
  throw await unknown(args);
}

async function unknown(args: readonly string[]): Promise<Error> {
  const { unknownCommand } = await import("./unknown_command.ts");
  return unknownCommand(args, [...COMMANDS.keys()]);
}

async function run(load: LoadCommand, args: readonly string[]): Promise<number> {
  const [{ runSubcommand }, { subcommand }] = await Promise.all([import("./run.ts"), load()]);
  return await runSubcommand(subcommand, args);
}

/**
 * The help of one command, or of the program.
 * @param words the command's name; none for the program's help
 * @throws {UserError} when there is no such command
 */
async function help(words: readonly string[] = []): Promise<string> {
  const { fullHelp, programHelp } = await import("./help.ts");
  const [name] = words;
  if (name === undefined) return programHelp(await allCommands());
  const load = COMMANDS.get(name);
  if (load === undefined) throw await unknown(words);
  return fullHelp((await load()).subcommand);
}
