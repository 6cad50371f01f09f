/**
 * What has to happen before anything else in a start. It is the first import of the program's entry, so
 * that it runs before the other modules do.
 * @module
 */

import { dropOwnVariables } from "./own_variables.ts";
import { catchSignals } from "./signals.ts";

/** The commands that run until they are told to stop; `multibinder PATH` is short for one. */
const ROLES = ["bind", "exec"];

const [command = ""] = Deno.args;
if (ROLES.includes(command) || command.includes("/")) catchSignals();
dropOwnVariables();
