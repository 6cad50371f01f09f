/** Programs with the marks of a generation that a wrapper has started. */

import { type Program, startProgram } from "./program.ts";

/** Starts one. @param wrapper the mark of its wrapper @param lent how many sockets it says it was lent */
export function startGeneration(
  service: string,
  wrapper: string,
  argv: readonly [string, ...string[]] = ["sleep", "1000"],
  lent = "1",
): Program {
  return startProgram(argv, {
    env: {
      MULTIBINDER_SERVICE: service,
      MULTIBINDER_WRAPPER: wrapper,
      MULTIBINDER_SOCKETS: lent,
    },
  });
}

/** A wrapper's mark in the environment of its generations, of one that has ended. */
export async function deadMark(): Promise<string> {
  await using program = startProgram(["sleep", "1000"]);
  return String(program.pid);
}
