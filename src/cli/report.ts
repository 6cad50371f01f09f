/** What is told of an error that ends the program, as the log would tell it. */

import { EXIT, messageOf, UserError } from "../errors.ts";
import { escapeControls } from "../escape.ts";
import { isJournal, renderForJournal, renderJson } from "../log.ts";
import { print } from "./output.ts";

/** Tells it; with `--log-level debug` also where it happened. @returns the exit code */
export function report(error: unknown): number {
  const message = messageOf(error);
  const isDebug = optionValue("--log-level") === "debug";
  const stack = isDebug && error instanceof Error ? error.stack ?? "" : "";
  print(`${render(message, stack)}\n`, Deno.stderr);
  return error instanceof UserError ? error.exitCode : EXIT.failure;
}

function render(message: string, stack: string): string {
  const format = optionValue("--log-format") ?? Deno.env.get("MULTIBINDER_LOG_FORMAT");
  if (format === "json") return renderJson("error", stack || message);
  if (isJournal()) return renderForJournal("error", stack || message);
  const frames = stack.split("\n").filter((line) => /^ +at /.test(line));
  return [`multibinder: ${message}`, ...frames].map(escapeControls).join("\n");
}

/** The value of an option, for an error that may come before the command line is understood. */
function optionValue(option: string): string | undefined {
  const end = Deno.args.indexOf("--");
  const args = end < 0 ? Deno.args : Deno.args.slice(0, end);
  const at = args.findIndex((word) => word === option || word.startsWith(`${option}=`));
  return args[at] === option ? args[at + 1] : args[at]?.slice(option.length + 1);
}
