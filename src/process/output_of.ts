/** Running a program for what it says. */

import { createMemfd, readOutput } from "../../ffi/memfd.ts";
import { type ExitStatus, sendSignal } from "../../ffi/process.ts";
import type { SpawnOptions } from "../../ffi/spawn.ts";
import type { Child } from "./children.ts";

/** Bytes of the output that are kept. */
const MAX_OUTPUT = 256 * 1024;

/**
 * Runs a program to its end, and reads what it wrote to its standard output and error.
 * @param start starts it with these outputs
 * @param timeout milliseconds after which it is killed
 */
export async function outputOf(
  start: (outputs: Pick<SpawnOptions, "stdout" | "stderr">) => Child,
  timeout: number,
): Promise<{ status: ExitStatus; text: string }> {
  using output = createMemfd("multibinder-output");
  const child = start({ stdout: output, stderr: output });
  const timer = setTimeout(() => sendSignal(child.pid, "SIGKILL"), timeout);
  const status = await child.exited;
  clearTimeout(timer);
  return { status, text: readOutput(output, MAX_OUTPUT) };
}
