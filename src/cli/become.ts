/**
 * `multibinder become PROGRAM ARG...`, hidden: becomes that program, and tells it its own pid in LISTEN_PID.
 *
 * Programs take the descriptors of sd_listen_fds(3) only if that variable has their own pid, which nobody knows
 * before the process exists.
 */

import { SystemError } from "../../ffi/errno.ts";
import { become } from "../../ffi/process.ts";
import { cannotRun } from "../servers/launch.ts";

/** @throws {UserError} when it cannot be run */
export function run([program = "", ...args]: readonly string[]): never {
  try {
    return become([program, ...args], { ...startedWith(), LISTEN_PID: String(Deno.pid) });
  } catch (error) {
    throw error instanceof SystemError ? cannotRun(program, error) : error;
  }
}

/** The environment as it was at the start: since then, this program has removed the marks of a generation from it. */
function startedWith(): Record<string, string> {
  const variables = Deno.readTextFileSync("/proc/self/environ").split("\0").slice(0, -1);
  return Object.fromEntries(variables.map((one) => {
    const at = one.indexOf("=");
    return [one.slice(0, at), one.slice(at + 1)];
  }));
}
