/** Docker's own engine. */

import { DockerEngine, Switch } from "../support/docker.ts";
import type { Program } from "../support/program.ts";
import { type Container, Engine } from "./containers.ts";

export class Docker extends Engine {
  readonly name = "docker";
  readonly command = ["docker"] as const;
  readonly buildOptions = ["--network=none"];
  readonly removal = ["rm", "--force"];
  readonly readOnly = ["--read-only"];
  #switch: Switch | undefined;
  #engine: DockerEngine | undefined;

  get engine(): DockerEngine {
    if (this.#engine === undefined) throw new Error("it has not been started");
    return this.#engine;
  }

  get hostname(): string {
    return this.engine.address;
  }

  get environment(): Record<string, string> {
    return this.engine.environment;
  }

  async prepare(): Promise<void> {
    this.#switch = await Switch.create();
    this.#engine = await DockerEngine.start(this.#switch);
    await this.run("network", "create", this.network);
  }

  /** Starts another engine on the same switch. */
  async another(): Promise<DockerEngine> {
    if (this.#switch === undefined) throw new Error("it has not been started");
    return await DockerEngine.start(this.#switch);
  }

  /** The same command, run at once: the engine's own checks come every ten seconds. */
  async check(container: Container): Promise<number> {
    const test = await this.run(
      ...["inspect", "--format", "{{json .Config.Healthcheck.Test}}", container.name],
    );
    // A list that begins with the word CMD.
    return (await this.try("exec", container.name, ...JSON.parse(test).slice(1))).code;
  }

  shell(script: string, cwd: string): Program {
    return this.engine.program(["sh", "-ec", script], { cwd });
  }

  remove(): void {
    this.#engine?.remove();
    this.#switch?.[Symbol.dispose]();
    this.folder[Symbol.dispose]();
  }
}
