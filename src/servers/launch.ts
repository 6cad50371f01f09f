/** Starting the program of a service: with its sockets, in its environment, with errors for users. */

import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import type { Poller } from "../../ffi/poll.ts";
import type { ExitStatus } from "../../ffi/process.ts";
import type { SpawnOptions } from "../../ffi/spawn.ts";
import { EXIT, UserError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Child, Children } from "../process/children.ts";
import { ownCommand } from "../process/successor.ts";
import { withoutServiceVariables } from "../systemd/environment.ts";
import { type NamedSocket, variablesFor } from "./named_sockets.ts";

/** The words of a command: the program, and its arguments. */
export type Words = readonly [string, ...string[]];

/** The file that each template was rendered to, by the template's path as the command names it. */
export type RenderedFiles = ReadonlyMap<string, string>;

/** What a {@link Launch} is made of. */
export interface LaunchParts {
  /** What it is started by, and reaped. */
  children: Children;
  poller: Poller;
  log: Log;
  /** The rendered file of each template. */
  files: RenderedFiles;
  /** The environment that it is started from: ours, and what files add to it. */
  env: Readonly<Record<string, string>>;
  /** Listening sockets, which become its descriptors from 3 on, in this order. */
  sockets?: readonly Fd[];
  /** What the first of them are, as far as the command line names them. */
  named?: readonly NamedSocket[];
  /** Variables for its environment. */
  marks?: Readonly<Record<string, string>> | undefined;
  /** Its standard error; ours when absent. */
  stderr?: Fd | undefined;
}

/** What a service is started with. */
export class Launch {
  readonly children: Children;
  readonly poller: Poller;
  readonly log: Log;
  readonly files: RenderedFiles;
  readonly sockets: readonly Fd[];
  readonly named: readonly NamedSocket[];
  readonly marks: Readonly<Record<string, string>>;
  readonly stderr: Fd | undefined;
  /**
   * That environment without what systemd has told us alone, and with the named sockets and the marks of a
   * generation.
   */
  readonly env: Readonly<Record<string, string>>;

  constructor(parts: LaunchParts) {
    const { children, poller, log, files, env, sockets = [], named = [], marks = {} } = parts;
    this.children = children;
    this.poller = poller;
    this.log = log;
    this.files = files;
    this.sockets = sockets;
    this.named = named;
    this.marks = marks;
    this.stderr = parts.stderr;
    this.env = { ...withoutServiceVariables(env), ...variablesFor(named), ...marks };
  }

  /**
   * Starts a program that finds its own pid in LISTEN_PID, as sd_listen_fds(3) wants it. Nobody knows a pid
   * before there is the process, and posix_spawn(3) lets nobody act in between: so the process is one of
   * this program first, which knows its pid and then becomes the other one. It costs some 30 ms.
   * @throws {UserError} when this program cannot be run; of the other one the process itself tells
   */
  startWithOwnPid(argv: Words, options: Partial<Omit<SpawnOptions, "argv">> = {}): Child {
    return this.start([...ownCommand(), "become", ...argv], options);
  }

  /**
   * Starts a program, by default with the sockets and {@link env}.
   * @throws {UserError} when it cannot be run, with the exit code that a shell has for that
   */
  start(argv: Words, options: Partial<Omit<SpawnOptions, "argv">> = {}): Child {
    try {
      const { env, sockets: fds, stderr } = this;
      return this.children.start({ env, fds, ...stderr && { stderr }, ...options, argv });
    } catch (error) {
      throw error instanceof SystemError ? cannotRun(argv[0], error) : error;
    }
  }
}

/** An exit code as a shell has it: 128 + n for signal n. */
export function exitCodeOf(status: ExitStatus): number {
  return "code" in status ? status.code : 128 + status.signal;
}

/** Why a program cannot be run, with the exit code that a shell has for that. */
export function cannotRun(program: string, error: SystemError): UserError {
  if (error.code === "ENOENT") {
    return new UserError(`command not found: ${program}`, { exitCode: EXIT.notFound });
  }
  return new UserError(`cannot run ${error.message}`, { exitCode: EXIT.notExecutable });
}
