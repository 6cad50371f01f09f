/**
 * What has to happen before anything else in a start. It is the first import of the program's entry, so
 * that it runs before the other modules do.
 * @module
 */

import { lackOf } from "./limits.ts";
import { dropOwnVariables, STATE_VARIABLE } from "./own_variables.ts";
import { catchSignals } from "./signals.ts";

/** The commands that run until they are told to stop; `multibinder PATH` is short for one. */
const ROLES = ["bind", "exec"];

const [command = ""] = Deno.args;
const isRole = ROLES.includes(command) || isOriginalCall(Deno.args);

/** A successor lives with these limits already, and to end now would lose all that it is handed. */
const isSuccessor = Deno.env.has(STATE_VARIABLE);

const lack = isRole && !isSuccessor
  ? lackOf(() => Deno.readTextFileSync("/proc/self/limits"), Deno.uid() === 0)
  : undefined;
if (isRole && !lack) catchSignals();
dropOwnVariables();

/**
 * Whether a command line is one of the original's: the path of the control socket, and nothing else. A word
 * without a slash counts when it has a dot, which no command has, and no port at its end, as an address has.
 */
export function isOriginalCall(args: readonly string[]): boolean {
  const [word = ""] = args;
  if (args.length !== 1 || word.startsWith("-")) return false;
  return word.includes("/") || (word.includes(".") && !/:(\d+|\*)$/.test(word));
}

/** @throws {UserError} when the limits of this process are too low for the command */
export function insistOnLimits(): void {
  if (lack) throw lack;
}
