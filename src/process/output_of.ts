/** Running a program to its end, and reading what it has written. */

import { SystemError } from "../../ffi/errno.ts";
import { createMemfd, readOutput } from "../../ffi/memfd.ts";
import { type ExitStatus, sendSignal } from "../../ffi/process.ts";
import type { SpawnOptions } from "../../ffi/spawn.ts";
import type { Child } from "./children.ts";
import { descendantsOf } from "./socket_use.ts";

/** Bytes of the output that are kept. */
const MAX_OUTPUT = 64 * 1024;

/** What came of a program. */
export interface Output {
  status: ExitStatus;
  /** What it wrote to its standard output and error. */
  text: string;
  /** Whether it was killed because it did not end in time. */
  isLate: boolean;
}

/** The pids of the programs under way. */
const underWay = new Set<number>();

/**
 * Runs a program to its end, and reads what it wrote to its standard output and error.
 * @param start starts it with these outputs
 * @param timeout milliseconds after which it is killed, with all that it has started
 */
export async function outputOf(
  start: (outputs: Required<Pick<SpawnOptions, "stdout" | "stderr">>) => Child,
  timeout: number,
): Promise<Output> {
  using output = createMemfd("multibinder-output");
  const { pid, exited } = start({ stdout: output, stderr: output });
  underWay.add(pid);
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    end(pid);
  }, timeout);
  const status = await exited;
  underWay.delete(pid);
  clearTimeout(timer);
  return { status, text: readOutput(output, MAX_OUTPUT), isLate };
}

/** Kills the programs under way, for an end of this process after which nobody waits for them any more. */
export function endOutputs(): void {
  underWay.forEach(end);
}

/**
 * Kills a process and all that it has started. One of them may be another user's by then (sudo(8)), which we may not
 * signal: that one is waited for.
 */
function end(pid: number): void {
  for (const one of [pid, ...descendantsOf(pid)]) {
    try {
      sendSignal(one, "SIGKILL");
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
    }
  }
}
