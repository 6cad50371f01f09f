/** The entry of the compiled program: chooses the subcommand, and is the only place that exits. */

import { insistOnMachine, isOriginalCall } from "./process/start.ts";
import { allCommands, COMMANDS, INTERNAL } from "./cli/commands.ts";
import { print } from "./cli/output.ts";
import { EXIT, messageOf, UserError } from "./errors.ts";
import { VERSION } from "./version.ts";

async function main(args: readonly string[]): Promise<number> {
  const [name = "", ...rest] = args;
  if (Object.hasOwn(COMMANDS, name)) return await run(name, rest);
  if (Object.hasOwn(INTERNAL, name)) {
    return await (await INTERNAL[name]?.())?.run(rest, COMMANDS) ?? EXIT.failure;
  }
  switch (name) {
    case "-V":
    case "--version":
    case "version":
      print(`multibinder ${VERSION}\n`);
      return EXIT.ok;
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
    complain((await help()).trimEnd());
    return EXIT.usage;
  }
  const { become, meaningOf, nameOfStart } = await import("./cli/original_names.ts");
  const meant = meaningOf(nameOfStart(), args);
  if (meant) become(meant);
  if (isOriginalCall(args)) return await main(["bind", "--sock", name]);
  throw await unknown(args);
}

async function unknown(args: readonly string[]): Promise<Error> {
  const { unknownCommand } = await import("./cli/unknown_command.ts");
  return unknownCommand(args, Object.keys(COMMANDS));
}

async function run(name: string, args: readonly string[]): Promise<number> {
  const [{ runSubcommand }, module] = await Promise.all([
    import("./cli/run.ts"),
    COMMANDS[name]?.(),
  ]);
  return module ? await runSubcommand(module.subcommand, args) : EXIT.failure;
}

/** @param name a command, for all there is to know of it; without, what commands there are */
async function help(name?: string): Promise<string> {
  const { fullHelp, programHelp } = await import("./cli/help.ts");
  const module = await COMMANDS[name ?? ""]?.();
  return module ? fullHelp(module.subcommand) : programHelp(await allCommands());
}

function complain(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${text}\n`));
}

/** The value of an option, for an error that may come before the command line is understood. */
function optionValue(option: string): string | undefined {
  const end = Deno.args.indexOf("--");
  const args = end < 0 ? Deno.args : Deno.args.slice(0, end);
  const at = args.findIndex((word) => word === option || word.startsWith(`${option}=`));
  return args[at] === option ? args[at + 1] : args[at]?.slice(option.length + 1);
}

/** Tells what ends the program, as the log would; with `--log-level debug` also where it happened. */
async function report(error: unknown): Promise<void> {
  const { escapeControls } = await import("./escape.ts");
  const { isJournal, renderForJournal, renderJson } = await import("./log.ts");
  const message = messageOf(error);
  const isDebug = optionValue("--log-level") === "debug";
  const stack = isDebug && error instanceof Error ? error.stack ?? "" : "";
  const format = optionValue("--log-format") ?? Deno.env.get("MULTIBINDER_LOG_FORMAT");
  if (format === "json") complain(renderJson("error", stack || message));
  else if (isJournal()) complain(renderForJournal("error", stack || message));
  else {
    const frames = stack.split("\n").filter((line) => /^ +at /.test(line));
    complain([`multibinder: ${message}`, ...frames].map(escapeControls).join("\n"));
  }
}

try {
  insistOnMachine();
  Deno.exit(await main(Deno.args));
} catch (error) {
  // Whoever read our output has had enough, as `head` has.
  if (error instanceof Deno.errors.BrokenPipe) Deno.exit(EXIT.failure);
  await report(error);
  Deno.exit(error instanceof UserError ? error.exitCode : EXIT.failure);
}
