/** The program as a whole: chooses the subcommand. */

import { EXIT } from "../errors.ts";
import { insistOnMachine, isOriginalCall } from "../process/start.ts";
import { allCommands, COMMANDS, INTERNAL } from "./commands.ts";
import { print } from "./output.ts";

/**
 * Does what a command line says.
 * @returns the exit code
 * @throws {UserError} when it cannot be done, with the exit code
 */
export async function runProgram(args: readonly string[]): Promise<number> {
  insistOnMachine();
  const [name = "", ...rest] = args;
  if (Object.hasOwn(COMMANDS, name)) return await run(name, rest);
  if (Object.hasOwn(INTERNAL, name)) {
    return await (await INTERNAL[name]?.())?.run(rest, COMMANDS) ?? EXIT.failure;
  }
  switch (name) {
    case "help":
      if (rest.length > 0 && !Object.hasOwn(COMMANDS, rest[0] ?? "")) throw await unknown(rest);
      print(await help(rest[0]));
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
  if (isOriginalCall(args)) return await run("bind", ["--sock", name]);
  throw await unknown(args);
}

async function unknown(args: readonly string[]): Promise<Error> {
  const { unknownCommand } = await import("./unknown_command.ts");
  return unknownCommand(args, Object.keys(COMMANDS));
}

async function run(name: string, args: readonly string[]): Promise<number> {
  const [{ runSubcommand }, module] = await Promise.all([
    import("./run.ts"),
    COMMANDS[name]?.(),
  ]);
  return module ? await runSubcommand(module.subcommand, args) : EXIT.failure;
}

/** @param name a command, for all there is to know of it; without, what commands there are */
async function help(name?: string): Promise<string> {
  const { fullHelp, programHelp } = await import("./help.ts");
  const module = await COMMANDS[name ?? ""]?.();
  return module ? fullHelp(module.subcommand) : programHelp(await allCommands());
}
