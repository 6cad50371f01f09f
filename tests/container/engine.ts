/** Podman with a storage of its own, so that a test run meets no other one and leaves nothing behind. */

import { multibinder } from "../support/binder.ts";
import { type Program, startProgram } from "../support/program.ts";
import { freePort, type TempDir, tempDir } from "../support/temp_dir.ts";
import { ignoreUnless } from "../support/users.ts";
import { importDistroless } from "./bases.ts";

/** How long one command of podman's may take, in milliseconds. */
const PATIENCE = 180_000;

/** What works where limits are tight and no systemd runs. */
const CONTAINERS_CONF = `
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
infra_image = "registry.k8s.io/pause:3.10"
[network]
network_backend = "netavark"
`;

/** How a command of podman's ended. */
export interface Result {
  code: number;
  stdout: string;
  stderr: string;
}

/** Podman, until {@link Engine.remove}. */
export class Engine {
  readonly folder: TempDir = tempDir();
  /** The user network of all containers. What serves names in it knows it by its name alone. */
  readonly network = `test-${crypto.randomUUID()}`;

  constructor() {
    Deno.writeTextFileSync(this.folder.file("containers.conf"), CONTAINERS_CONF);
    for (const name of ["network", "tmp"]) Deno.mkdirSync(this.folder.file(name));
  }

  /** The words that run podman. */
  get command(): [string, ...string[]] {
    const at = (name: string) => this.folder.file(name);
    return [
      ...["podman", "--root", at("root"), "--runroot", at("run"), "--tmpdir", at("libpod")],
      ...["--network-config-dir", at("network")],
    ] as [string, ...string[]];
  }

  /** What podman must find in its environment. */
  get environment(): Record<string, string> {
    const { PATH = "", HOME = "" } = Deno.env.toObject();
    const conf = this.folder.file("containers.conf");
    return { PATH, HOME, CONTAINERS_CONF: conf, TMPDIR: this.folder.file("tmp") };
  }

  /** Runs a command of podman's. */
  async try(...args: string[]): Promise<Result> {
    const output = await this.#command(args, AbortSignal.timeout(PATIENCE)).output();
    const [stdout, stderr] = [output.stdout, output.stderr].map((it) =>
      new TextDecoder().decode(it).trim()
    );
    return { code: output.code, stdout: stdout ?? "", stderr: stderr ?? "" };
  }

  /** Runs a command of podman's that must succeed. @returns what it prints */
  async run(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.try(...args);
    if (code === 0) return stdout;
    throw new Error(`podman ${args.join(" ")} ended with ${code}:\n${stdout}\n${stderr}`);
  }

  /** Makes the network. Others on this machine must not get the same addresses or bridge. */
  async createNetwork(): Promise<void> {
    const [a = 0, b = 0] = crypto.getRandomValues(new Uint8Array(2));
    await this.run("network", "create", "--subnet", `10.${128 + a % 120}.${b}.0/24`, this.network);
    const file = this.folder.file(`network/${this.network}.json`);
    const network = JSON.parse(Deno.readTextFileSync(file));
    Deno.writeTextFileSync(file, JSON.stringify({ ...network, network_interface: `mb${a}x${b}` }));
  }

  /** Starts a container in the network. @param args options, the image, and its arguments */
  async start(name: string, ...args: string[]): Promise<Container> {
    return await this.startIn(this.network, name, ...args);
  }

  /** Starts a container. @param network whatever `podman run` takes */
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
      [Symbol.asyncDispose]: async () => void await this.run("volume", "rm", "--force", name),
    };
  }

  /** Removes every container and volume. */
  async clear(): Promise<void> {
    await this.run("rm", "--all", "--force", "--time", "0");
    await this.run("volume", "prune", "--force");
  }

  /** Removes everything; synchronous, since it is done when the test run ends. */
  remove(): void {
    for (
      const args of [["rm", "--all", "--force", "--time", "0"], [
        "network",
        "rm",
        "--force",
        "test",
      ]]
    ) {
      this.#command(args).outputSync();
    }
    // Podman leaves its storage mounted on itself.
    new Deno.Command("umount", { args: [this.folder.file("root/overlay")], stderr: "null" })
      .outputSync();
    this.folder[Symbol.dispose]();
  }

  #command(args: readonly string[], signal?: AbortSignal): Deno.Command {
    const [file, ...options] = this.command;
    return new Deno.Command(file, {
      args: [...options, ...args],
      env: this.environment,
      clearEnv: true,
      stdin: "null",
      ...(signal && { signal }),
    });
  }
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
    return Number(await this.engine.run("wait", "--interval", "20ms", this.name));
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

  async remove(): Promise<void> {
    await this.#log?.[Symbol.asyncDispose]();
    this.#log = undefined;
    await this.engine.try("rm", "--force", "--time", "0", this.name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove();
  }
}

/** Why containers cannot be run here; undefined when they can. */
async function obstacle(engine: Engine): Promise<string | undefined> {
  if (Deno.uid() !== 0) return "it needs root";
  try {
    await engine.createNetwork();
    await importDistroless(engine);
    const mount = `${multibinder()}:/program:ro`;
    const options = ["--rm", "--network", engine.network, "--publish", `${freePort()}:80`];
    await engine.run("run", ...options, "-v", mount, DISTROLESS, "/program", "--version");
    return undefined;
  } catch (error) {
    return String(error).replaceAll(/\s+/g, " ");
  }
}

export const DISTROLESS = "gcr.io/distroless/cc-debian12";

/** The engine of this test run. */
export const engine = new Engine();
globalThis.addEventListener("unload", () => engine.remove());

const reason = await obstacle(engine);
const ignore = ignoreUnless(reason === undefined, `podman cannot run containers here: ${reason}`);

/** A test that needs containers. */
export function containerTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore, fn });
}
