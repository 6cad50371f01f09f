/** Reports the error that ends the program, in the form that the log has. */

import { EXIT, messageOf, UserError } from "../errors.ts";
import { escapeControls } from "../escape.ts";
import { isJournal, renderForJournal, renderJson } from "../log.ts";
import { print } from "./output.ts";

/**
 * Writes the error to standard error; at the log level `debug` with its stack.
 * @returns the exit code
 */
export function report(error: unknown): number {
  const message = messageOf(error);
  const isDebug = valueOf("--log-level", "MULTIBINDER_LOG_LEVEL") === "debug";
  const stack = isDebug && error instanceof Error ? error.stack ?? "" : "";
  print(`${render(message, stack)}\n`, Deno.stderr);
  return error instanceof UserError ? error.exitCode : EXIT.failure;
}

function render(message: string, stack: string): string {
  const format = valueOf("--log-format", "MULTIBINDER_LOG_FORMAT");
  if (format === "json") return renderJson("error", stack || message);
  if (isJournal()) return renderForJournal("error", stack || message);
  const frames = stack.split("\n").filter((line) => /^ +at /.test(line));
  return [`multibinder: ${message}`, ...frames].map(escapeControls).join("\n");
}

/** The value of an option, or else of its variable: the error may come before the command line is parsed. */
function valueOf(option: string, variable: string): string | undefined {
  const end = Deno.args.indexOf("--");
  const args = end < 0 ? Deno.args : Deno.args.slice(0, end);
  const at = args.findIndex((word) => word === option || word.startsWith(`${option}=`));
  if (at < 0) return Deno.env.get(variable);
  return args[at] === option ? args[at + 1] : args[at]?.slice(option.length + 1);
}
