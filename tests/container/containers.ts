/** Containers, and what an engine does for them: podman or Docker. */

import { attempt, must, type Result } from "../support/docker.ts";
import { processStatus, until } from "../support/process_status.ts";
import { type Program, startProgram } from "../support/program.ts";
import type { BinderStatus, Status } from "../support/status.ts";
import { type TempDir, tempDir } from "../support/temp_dir.ts";

/** An engine whose commands are those of `docker`, until {@link Engine.remove}. */
export abstract class Engine {
  readonly folder: TempDir = tempDir();
  /** The user network of all containers. What serves names in it knows it by its name alone. */
  readonly network = `test-${crypto.randomUUID()}`;
  abstract readonly name: "podman" | "docker";
  /** Where published ports answer. */
  abstract readonly hostname: string;
  /** The words that run it. */
  abstract readonly command: readonly [string, ...string[]];
  /** What its command must find in its environment. */
  abstract readonly environment: Record<string, string>;
  /** Options of `build`, for a build without any network. */
  abstract readonly buildOptions: readonly string[];
  /** The words that remove containers at once. */
  abstract readonly removal: readonly string[];
  /** Options of `run` for a root file system to read, and no other that could be written. */
  abstract readonly readOnly: readonly string[];

  /** Starts it, with its network. It rejects where that cannot be. */
  abstract prepare(): Promise<void>;

  /** Runs one of its commands. */
  try(...args: string[]): Promise<Result> {
    return attempt([...this.command, ...args], this.environment);
  }

  /** Runs one of its commands, which must succeed. @returns what it prints */
  run(...args: string[]): Promise<string> {
    return must([...this.command, ...args], this.environment);
  }

  /** What the health check of a container's image says now: its exit code. */
  abstract check(container: Container): Promise<number>;

  /** Starts a shell where published ports are ports of localhost. */
  abstract shell(script: string, cwd: string): Program;

  /** Starts a container in the network. @param args options, the image, and its arguments */
  async start(name: string, ...args: string[]): Promise<Container> {
    return await this.startIn(this.network, name, ...args);
  }

  /** Starts a container. @param network whatever `run` takes */
  async startIn(network: string, name: string, ...args: string[]): Promise<Container> {
    const container = new Container(this, name);
    try {
      await this.run("run", "--detach", "--name", name, "--network", network, ...args);
    } catch (error) {
      await container.remove();
      throw error;
    }
    return container;
  }

  /** A volume, removed with all containers that use it. */
  async volume(...options: string[]): Promise<Volume> {
    const name = `volume-${crypto.randomUUID()}`;
    await this.run("volume", "create", ...options, name);
    return {
      name,
      [Symbol.asyncDispose]: async () => {
        const users = await this.run("ps", "--all", "--quiet", "--filter", `volume=${name}`);
        if (users !== "") await this.run(...this.removal, ...users.split("\n"));
        await this.run("volume", "rm", "--force", name);
      },
    };
  }

  /** Removes every container and volume. */
  async clear(): Promise<void> {
    const all = await this.run("ps", "--all", "--quiet");
    if (all !== "") await this.run(...this.removal, ...all.split("\n"));
    await this.run("volume", "prune", "--force");
  }

  /** Removes everything; synchronous, since it is done when the test run ends. */
  abstract remove(): void;
}

/** A volume of an engine's. */
export interface Volume extends AsyncDisposable {
  readonly name: string;
}

/** A container of an engine's. */
export class Container implements AsyncDisposable {
  #log: Program | undefined;

  constructor(readonly engine: Engine, readonly name: string) {}

  /** Its log, followed. */
  get log(): Program {
    const { command, environment: env } = this.engine;
    return this.#log ??= startProgram([...command, "logs", "--follow", this.name], { env });
  }

  /**
   * Waits until the status of the binder in it is so, or that of the wrapper whose control socket is named. It is
   * asked in the container, as its user: root of this machine may be nobody there.
   */
  async waitFor<T extends Status = BinderStatus>(
    holds: (status: T) => boolean,
    sock = "/run/multibinder.sock",
  ): Promise<void> {
    const words = ["exec", this.name, "multibinder", "status", "--json", "--sock", sock];
    await until(async () => {
      const { code, stdout } = await this.engine.try(...words);
      return code === 0 && holds(JSON.parse(stdout));
    });
  }

  /** Waits until the wrapper in it has HAProxy serving. */
  async serving(): Promise<this> {
    await this.log.waitFor(/ info serving /);
    return this;
  }

  /** Sends a signal to its first process. */
  async signal(name: string): Promise<void> {
    await this.engine.run("kill", "--signal", name, this.name);
  }

  /** Its exit code, when it has ended. */
  async exited(): Promise<number> {
    return Number(await this.engine.run("wait", this.name));
  }

  /** Stops it as `docker stop` does. @returns its exit code and the milliseconds that it took */
  async stop(): Promise<{ code: number; took: number }> {
    const start = performance.now();
    await this.engine.run("stop", this.name);
    return { took: performance.now() - start, code: await this.exited() };
  }

  /** The pid of its first process, as this machine has it. */
  async pid(): Promise<number> {
    return Number(await this.engine.run("inspect", "--format", "{{.State.Pid}}", this.name));
  }

  /** The user of its first process, as this machine has it. */
  async user(): Promise<number> {
    return Number(processStatus(await this.pid(), "Uid")?.split("\t")[0]);
  }

  async remove(): Promise<void> {
    await this.#log?.[Symbol.asyncDispose]();
    this.#log = undefined;
    await this.engine.try(...this.engine.removal, this.name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove();
  }
}
