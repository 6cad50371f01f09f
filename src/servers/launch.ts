/** Starting the program of a service: with its sockets, in its environment, with errors for users. */

import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import type { ExitStatus } from "../../ffi/process.ts";
import type { SpawnOptions } from "../../ffi/spawn.ts";
import { EXIT, UserError } from "../errors.ts";
import type { Child, Children } from "../process/children.ts";
import { withoutServiceVariables } from "../systemd/environment.ts";

/** The words of a command: the program, and its arguments. */
export type Words = readonly [string, ...string[]];

/** The file that each template was rendered to, by the template's path as the command names it. */
export type RenderedFiles = ReadonlyMap<string, string>;

/** What a service is started with. */
export class Launch {
  /** Our own environment, without what systemd has told us alone, and with the marks of a generation. */
  readonly env: Readonly<Record<string, string>>;

  /**
   * @param children what it is started by, and reaped
   * @param files the rendered file of each template
   * @param sockets listening sockets, which become its descriptors from 3 on, in this order
   * @param marks variables for its environment
   */
  constructor(
    readonly children: Children,
    readonly files: RenderedFiles,
    readonly sockets: readonly Fd[] = [],
    marks: Readonly<Record<string, string>> = {},
  ) {
    this.env = { ...withoutServiceVariables(Deno.env.toObject()), ...marks };
  }

  /**
   * Starts a program, by default with the sockets and {@link env}.
   * @throws {UserError} when it cannot be run, with the exit code that a shell has for that
   */
  start(argv: Words, options: Partial<Omit<SpawnOptions, "argv">> = {}): Child {
    try {
      return this.children.start({ env: this.env, fds: this.sockets, ...options, argv });
    } catch (error) {
      throw error instanceof SystemError ? cannotRun(argv[0], error) : error;
    }
  }
}

/** An exit code as a shell has it: 128 + n for signal n. */
export function exitCodeOf(status: ExitStatus): number {
  return "code" in status ? status.code : 128 + status.signal;
}

function cannotRun(program: string, error: SystemError): UserError {
  if (error.code === "ENOENT") {
    return new UserError(`command not found: ${program}`, { exitCode: EXIT.notFound });
  }
  return new UserError(`cannot run ${error.message}`, { exitCode: EXIT.notExecutable });
}
