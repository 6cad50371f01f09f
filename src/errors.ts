/** Errors that a person is meant to read. */

/** Exit codes of the commands, as docs/operate.md lists them. A server's own code is passed on as it is. */
export const EXIT = {
  ok: 0,
  /** What was asked for could not be done. */
  failure: 1,
  /** The command line was wrong. */
  usage: 2,
  /** The command of `exec` was found but could not be run, as a shell has it. */
  notExecutable: 126,
  /** The command of `exec` was not found, as a shell has it. */
  notFound: 127,
} as const;

/** Something went wrong in a way that the user can understand and mend: shown without a stack. */
export class UserError extends Error {
  /** The class's name. */
  override readonly name: string = "UserError";
  /** Exit code of a command that fails with it. */
  readonly exitCode: number;

  /**
   * An error in plain words.
   * @param message what failed, why, and what to do about it
   * @param options `exitCode` if not 1
   */
  constructor(message: string, options: ErrorOptions & { exitCode?: number } = {}) {
    super(message, options);
    this.exitCode = options.exitCode ?? EXIT.failure;
  }
}

/**
 * Reads words of the command line.
 * @throws {UserError} with the exit code for usage, when `read` throws one (a promise that it returns is not awaited)
 */
export function fromCommandLine<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(error.message, { cause: error, exitCode: EXIT.usage });
  }
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
