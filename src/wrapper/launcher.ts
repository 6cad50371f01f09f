/** Starting HAProxy: to check a config, to ask it something, or as a generation that serves. */

import { SIGNALS } from "../../ffi/constants.ts";
import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { createMemfd, readOutput } from "../../ffi/memfd.ts";
import { createPipe } from "../../ffi/pipe.ts";
import { type ExitStatus, sendSignal } from "../../ffi/process.ts";
import type { SpawnOptions } from "../../ffi/spawn.ts";
import type { Child, Children } from "../process/children.ts";
import { EXIT, UserError } from "../errors.ts";
import { ownCommand } from "../process/successor.ts";
import {
  CHECK_OPTIONS,
  cleanEnvironment,
  type Command,
  SOFT_STOP,
  startOptions,
  toArgv,
} from "../servers/haproxy.ts";

/** Bytes of a check's output that are kept. */
const MAX_OUTPUT = 64 * 1024;

/** A config that HAProxy refused, or did not check in time. */
export class RefusedConfig extends UserError {
  /** `output` is what HAProxy said, line by line. */
  constructor(message: string, exitCode: number, readonly output: readonly string[]) {
    super(message, { exitCode });
  }
}

/** A generation that was started. */
export interface Server extends Child {
  /** Undefined once it is up; why nobody will tell that, when it or the latch ended before. */
  ready: Promise<string | undefined>;
}

/** Starts HAProxy with inherited sockets. */
export class Launcher {
  /** The rendered file of each template. */
  readonly #targets: ReadonlyMap<string, string>;

  /** @param templates of the command, each with the file that it is rendered to */
  constructor(
    readonly children: Children,
    readonly command: Command,
    templates: readonly { template: string; target: string }[],
  ) {
    this.#targets = new Map(templates.map(({ template, target }) => [template, target]));
  }

  /**
   * Lets HAProxy check the config, with the sockets in place.
   * @param timeout milliseconds after which a check that hangs is killed
   * @throws {RefusedConfig}
   */
  async check(fds: readonly Fd[], timeout: number): Promise<void> {
    using output = createMemfd("haproxy-check");
    const argv = toArgv(this.command, this.#targets, CHECK_OPTIONS);
    const child = this.#spawn({ argv, fds, stdout: output, stderr: output });
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      sendSignal(child.pid, "SIGKILL");
    }, timeout);
    const status = await child.exited;
    clearTimeout(timer);
    if ("code" in status && status.code === 0) return;
    const lines = readOutput(output, MAX_OUTPUT).split("\n").filter((line) => line.trim() !== "");
    if (isLate) {
      const why = `HAProxy did not check the config within ${timeout / 1000} s (--ready-timeout)`;
      throw new RefusedConfig(why, EXIT.failure, lines);
    }
    const code = exitCode(status);
    throw new RefusedConfig(`HAProxy refused the config${reason(code, lines)}`, code, lines);
  }

  /** Runs the command as it is, for a HAProxy that ends by itself. @returns its exit code */
  async run(fds: readonly Fd[]): Promise<number> {
    return exitCode(
      await this.#spawn({ argv: toArgv(this.command, this.#targets, []), fds }).exited,
    );
  }

  /**
   * Starts a generation.
   * @param marks variables for its environment
   * @throws {UserError} when the program cannot be run
   */
  start(fds: readonly Fd[], marks: Readonly<Record<string, string>>): Server {
    const { reader, writer } = createPipe();
    try {
      const [own, ...words] = ownCommand();
      const latch = this.#spawn({ argv: [own, ...words, "latch"], stdin: reader });
      const argv = toArgv(this.command, this.#targets, startOptions(latch.pid));
      const server = this.#spawn({ argv, fds }, marks);
      // Should the server end early, nobody needs the latch any more.
      void server.exited.then(() => writer.close());
      const ready = latch.exited.then((status) => {
        writer.close();
        if ("signal" in status && status.signal === SIGNALS[SOFT_STOP]) return undefined;
        const ended = `${own} ended with exit code ${
          exitCode(status)
        } when it was to wait for HAProxy`;
        return `${ended}: the file may be another program by now`;
      });
      return { ...server, ready };
    } catch (error) {
      writer.close();
      throw error;
    } finally {
      reader.close();
    }
  }

  #spawn(options: Omit<SpawnOptions, "env">, marks: Readonly<Record<string, string>> = {}): Child {
    try {
      const env = { ...cleanEnvironment(Deno.env.toObject()), ...marks };
      return this.children.start({ ...options, env });
    } catch (error) {
      throw error instanceof SystemError ? cannotRun(options.argv[0], error) : error;
    }
  }
}

/** What HAProxy gives as its reason, of all that it said. */
function reason(exitCode: number, output: readonly string[]): string {
  const alert = output.find((line) => line.includes("[ALERT]"))?.replace(/^.*?: /, "");
  if (alert !== undefined) return `: ${alert}`;
  if (exitCode > 128) return `: signal ${exitCode - 128} ended the check`;
  // Without a listener, for one, it says why in a line without a tag.
  const line = output.find((line) => !line.startsWith("[NOTICE]"));
  return line === undefined ? "" : `: ${line}`;
}

function cannotRun(program: string, error: SystemError): UserError {
  if (error.code === "ENOENT") {
    return new UserError(`command not found: ${program}`, { exitCode: EXIT.notFound });
  }
  return new UserError(`cannot run ${error.message}`, { exitCode: EXIT.notExecutable });
}

/** As a shell has it: 128 + n for signal n. */
function exitCode(status: ExitStatus): number {
  return "code" in status ? status.code : 128 + status.signal;
}
