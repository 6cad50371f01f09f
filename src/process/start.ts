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
const isRole = ROLES.includes(command) || command.includes("/");

/** A successor lives with these limits already, and an end now would lose all that it was handed. */
const isSuccessor = Deno.env.has(STATE_VARIABLE);

const lack = isRole && !isSuccessor
  ? lackOf(() => Deno.readTextFileSync("/proc/self/limits"), Deno.uid() === 0)
  : undefined;
if (isRole && !lack) catchSignals();
dropOwnVariables();

/** @throws {UserError} when this machine does not give what the command needs */
export function insistOnMachine(): void {
  if (lack) throw lack;
}
