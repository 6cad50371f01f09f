/** Having a program check a config, before anything depends on it. */

import type { Fd } from "../../ffi/fd.ts";
import { describeDuration } from "../duration.ts";
import { EXIT, UserError } from "../errors.ts";
import { outputOf } from "../process/output_of.ts";
import { exitCodeOf, type Launch, type Words } from "./launch.ts";

/** A config that a server refused, or did not check in time. */
export class RefusedConfig extends UserError {
  /**
   * A message for the user.
   * @param output what the server said, line by line
   * @param reason the part of it that the message has
   */
  constructor(
    message: string,
    exitCode: number,
    readonly output: readonly string[],
    readonly reason?: string,
  ) {
    super(message, { exitCode });
  }

  /** What the message does not say. */
  get rest(): string[] {
    const { output, reason } = this;
    return output.filter((line) => reason === undefined || !line.endsWith(reason));
  }
}

/** The error of a check, with `hide` done to all that the server has said. */
export function hidden(error: unknown, hide: (text: string) => string): unknown {
  if (!(error instanceof UserError)) return error;
  const { message, exitCode } = error;
  if (!(error instanceof RefusedConfig)) return new UserError(hide(message), { exitCode });
  const { output, reason } = error;
  return new RefusedConfig(hide(message), exitCode, output.map(hide), reason && hide(reason));
}

/** How to check a config, and what to say of a refusal. */
export interface Check {
  /** What checks, at the beginning of a sentence. */
  who: string;
  argv: Words;
  /** Its environment; the launch's when absent. */
  env?: Readonly<Record<string, string>>;
  /** Milliseconds after which a check that hangs is killed. */
  timeout: number;
  /** Where its standard output goes, when that is not what it says of the config. */
  stdout?: Fd;
  /**
   * The reason for a refusal, if there is one to tell.
   * @param output what the program said, line by line
   * @param end how it ended, if a signal ended it
   */
  reasonOf(output: readonly string[], end: string | undefined): string | undefined;
}

/**
 * Runs a program that checks a config: it ends with exit code 0 when the config is good.
 * @throws {RefusedConfig} with the program's reason, when it is not
 * @throws {UserError} when the program cannot be run
 */
export async function checkConfig(launch: Launch, check: Check): Promise<void> {
  const { who, argv, env = launch.env, timeout } = check;
  const { status, text, isLate } = await outputOf(
    ({ stdout, stderr }) => launch.start(argv, { env, stdout: check.stdout ?? stdout, stderr }),
    timeout,
  );
  if ("code" in status && status.code === 0) return;
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  if (isLate) {
    const time = describeDuration(timeout);
    const why = `${who} did not check the config within ${time} (--ready-timeout)`;
    throw new RefusedConfig(why, EXIT.failure, lines);
  }
  const how = "signal" in status ? `signal ${status.signal} ended the check` : undefined;
  const reason = check.reasonOf(lines, how);
  const message = `${who} refused the config${reason === undefined ? "" : `: ${reason}`}`;
  throw new RefusedConfig(message, exitCodeOf(status), lines, reason);
}
