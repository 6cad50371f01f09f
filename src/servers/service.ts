/**
 * The boundary between the wrapper and the servers that it can run: all that the wrapper asks of a server.
 *
 * A {@link Server} is a program that multibinder knows, such as one proxy or one web server. A
 * {@link Service} is such a server with the command line of a user, understood. The wrapper decides when
 * something is checked, started and stopped; the service knows how. Whatever is particular to one server
 * lies in its own file beside this one, and no code outside this folder names a server.
 * @module
 */

import type { SignalName } from "../../ffi/constants.ts";
import type { Finding } from "../finding.ts";
import type { Level, Log } from "../log.ts";
import type { Child } from "../process/children.ts";
import type { Launch, Words } from "./launch.ts";
import type { NamedSocket } from "./named_sockets.ts";

/** A program that multibinder knows how to run. */
export interface Server {
  /** As messages call it, and as its program is called by default. */
  readonly name: string;
  /** What the file name of its program looks like. */
  readonly program: RegExp;
  /** Whether the user says how it is checked and stopped, and when it is up; else it is known. */
  readonly isAdjustable?: boolean;
  /** What `multibinder exec --help` says of it, in whole lines. */
  readonly help: string;
  /** A command that runs it, for messages and examples: what stands after `multibinder exec --`. */
  readonly example: string;
  /**
   * What stands in its config for listening sockets that it is to accept from in one place.
   * @param descriptors the numbers under which the server inherits them, at least one
   */
  socketNames(descriptors: readonly number[]): string;
  /**
   * Understands its command line.
   * @throws {UserError} when it is none that can be run
   */
  understand(words: Words, options: ServiceOptions): Service;
}

/**
 * A sign of being up that can be asked for: READY=1, a line on the descriptor after the sockets, or that it
 * polls all its sockets.
 */
export type Sign = "notify" | "fd" | "poll";

/** What a user says of a service besides the server's own command line. */
export interface ServiceOptions {
  /** Its sockets, from descriptor 3 on. */
  named: readonly NamedSocket[];
  /** Milliseconds for which a generation must stay up. */
  settle: number;
  /** A command of the shell that checks the config. */
  check?: string | undefined;
  stopSignal?: SignalName | undefined;
  killSignal?: SignalName | undefined;
  /** How it tells that it is up. */
  sign?: Sign | undefined;
}

/** A server with its command line. */
export interface Service {
  readonly server: Server;
  /**
   * What makes two commands run the same service, wherever they are given: a wrapper takes over from
   * another one of the same identity that has died.
   */
  readonly identity: string;
  /** To `run` it, only to `check` its config, or to ask the program a `question`, such as its version. */
  readonly purpose: "run" | "check" | "question";
  /** Paths of the config files that the command names. Which of them are templates is not its business. */
  readonly configs: readonly string[];
  /** The only sign that a generation is up, where there is one, for the message that it has not come in time. */
  readonly awaited?: string | undefined;
  /** Where the pid of the generation that serves is to be written, if anywhere. */
  readonly pidFile?: string;
  /** Processes that the first generation replaces: told to stop once it serves. */
  readonly replaces?: { readonly pids: readonly number[]; readonly stop: "soft" | "hard" };
  /** The signals that make it stop: once its connections have ended, and at once. */
  readonly stopSignals: { readonly soft: SignalName; readonly hard: SignalName };
  /**
   * Runs the command as it was given, with rendered files in the place of templates: a command that ends by
   * itself, such as a check.
   * @returns the process; `exited` rejects with a {@link UserError} when a config was checked that the
   *   server finds valid, and that no generation could run
   * @throws {UserError} when the program cannot be run
   */
  run(launch: Launch): Child;
  /**
   * Has the config checked, with the sockets in place.
   * @param timeout milliseconds after which a check that hangs is killed
   * @returns what was begun meanwhile for the start that may follow, if anything; it ends with this program
   * @throws {RefusedConfig} with the reason, see check.ts
   * @throws {UserError} when the program cannot be run
   */
  check(launch: Launch, timeout: number): Promise<Begun | void>;
  /**
   * Starts a generation.
   * @param begun by its check
   * @throws {UserError} when the program cannot be run
   */
  start(launch: Launch, begun?: Begun): Started;
  /**
   * Whether the server closes inherited sockets without removing them from its epoll sets first, so that it
   * is still woken for connections that others accept.
   */
  readonly leavesSocketsPolled?: boolean;
  /**
   * Whether the server may miss a soft stop while it starts. It is told again for as long as it has its sockets, which
   * it closes as soon as it obeys; a second signal must mean nothing else to it.
   */
  readonly mayMissStop?: boolean;
  /** A generation has ended, while the one with this pid serves. */
  ended?(serving: number, log: Log): void;
  /** How grave a line of its output is; undefined when the line does not say. */
  levelOf(line: string): Level | undefined;
  /** Whether it goes on when nobody reads its standard error any more; SIGPIPE ends other servers then. */
  readonly outlivesReader?: boolean;
  /**
   * Looks for what will do harm in the program and its config, for `multibinder doctor`; nothing is changed.
   * @throws {UserError} when the program cannot be run
   */
  examine?(launch: Launch): Promise<Finding[]>;
}

/** Something that only the service that has begun it can use. */
export type Begun = Disposable;

/** A generation that was started. */
export interface Started extends Child {
  /** Resolves to undefined once it is up, or to the reason why its readiness can no longer be learnt. */
  ready: Promise<string | undefined>;
  /** Another process of the server that its signals are for, once it has named one. */
  mainPid?: () => number | undefined;
}
