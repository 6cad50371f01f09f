/**
 * Docker engines of a test's own: each in a network namespace, a folder and a cgroup that are gone afterwards,
 * joined by a switch in one more namespace. This machine reaches them by one interface of a name that no
 * other test has.
 */

import { hasEnded, until } from "./process_status.ts";
import { killMarked, MARKER, type Program, type ProgramOptions, startProgram } from "./program.ts";
import { tempDir } from "./temp_dir.ts";

/** How long one command of Docker's may take, in milliseconds. */
const PATIENCE = 180_000;

/** How a command ended. */
export interface Result {
  code: number;
  stdout: string;
  stderr: string;
}

type Environment = Readonly<Record<string, string>>;

/** A command with nothing in its environment but PATH, HOME and `env`. */
function command(
  [file = "", ...args]: readonly string[],
  env: Environment = {},
  signal?: AbortSignal,
) {
  const { PATH = "", HOME = "" } = Deno.env.toObject();
  const options = { args, env: { PATH, HOME, ...env }, clearEnv: true, stdin: "null" } as const;
  return new Deno.Command(file, { ...options, ...signal && { signal } });
}

function resultOf({ code, stdout, stderr }: Deno.CommandOutput): Result {
  const [out = "", err = ""] = [stdout, stderr].map((it) => new TextDecoder().decode(it).trim());
  return { code, stdout: out, stderr: err };
}

/** Runs a command to its end, which must come in time. */
export async function attempt(argv: readonly string[], env?: Environment): Promise<Result> {
  return resultOf(await command(argv, env, AbortSignal.timeout(PATIENCE)).output());
}

/** Runs a command that must succeed. @returns what it prints */
export async function must(argv: readonly string[], env?: Environment): Promise<string> {
  const { code, stdout, stderr } = await attempt(argv, env);
  if (code === 0) return stdout;
  throw new Error(`${argv.join(" ")} ended with ${code}:\n${stdout}\n${stderr}`);
}

/** A switch that joins the namespaces of engines, and leads to this machine. */
export class Switch implements Disposable {
  #hosts = 0;

  private constructor(readonly name: string, readonly subnet: string) {}

  static async create(): Promise<Switch> {
    const [a = 0, b = 0] = crypto.getRandomValues(new Uint8Array(2));
    // Neither one of Docker's own networks nor of Swarm's; a name has fifteen characters at most.
    const it = new Switch(`mb${a}x${b}`, `10.${128 + a % 120}.${b}`);
    try {
      await must(["ip", "netns", "add", it.name]);
      await it.#ip("link", "add", "switch", "type", "bridge");
      await it.#ip("link", "set", "switch", "up");
      const peer = ["peer", "name", "port0", "netns", it.name];
      await must(["ip", "link", "add", it.name, "type", "veth", ...peer]);
      await must(["ip", "address", "add", `${it.subnet}.1/24`, "dev", it.name]);
      await must(["ip", "link", "set", it.name, "up"]);
      await it.#ip("link", "set", "port0", "master", "switch", "up");
      return it;
    } catch (error) {
      it[Symbol.dispose]();
      throw error;
    }
  }

  /** Adds a network namespace. @returns its name and its address */
  async join(): Promise<{ namespace: string; address: string }> {
    const number = ++this.#hosts;
    const [namespace, port] = [`${this.name}h${number}`, `port${number}`];
    const address = `${this.subnet}.${number + 1}`;
    await must(["ip", "netns", "add", namespace]);
    for (
      const words of [
        ["link", "set", "lo", "up"],
        ["link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", this.name],
        ["address", "add", `${address}/24`, "dev", "eth0"],
        ["link", "set", "eth0", "up"],
      ]
    ) await must(["ip", "-n", namespace, ...words]);
    await this.#ip("link", "set", port, "master", "switch", "up");
    return { namespace, address };
  }

  [Symbol.dispose](): void {
    for (let number = this.#hosts; number > 0; number--) {
      command(["ip", "netns", "delete", `${this.name}h${number}`]).outputSync();
    }
    command(["ip", "netns", "delete", this.name]).outputSync();
    // It goes with its other end, which may take a moment.
    command(["ip", "link", "delete", this.name]).outputSync();
  }

  #ip(...words: string[]): Promise<string> {
    return must(["ip", "-n", this.name, ...words]);
  }
}

/** An engine. It is removed by {@link remove}, or at the end of its scope. */
export class DockerEngine implements AsyncDisposable {
  readonly folder = tempDir();
  readonly #group = `multibinder-test-${crypto.randomUUID()}`;
  readonly #marker = crypto.randomUUID();
  #daemon: Deno.ChildProcess | undefined;

  private constructor(
    /** Its network namespace, as `ip netns` has it. */
    readonly namespace: string,
    /** Where its published ports answer. */
    readonly address: string,
  ) {}

  /** Starts one. @param config what its `daemon.json` is to have */
  static async start(net: Switch, config: object = {}): Promise<DockerEngine> {
    const { namespace, address } = await net.join();
    const engine = new DockerEngine(namespace, address);
    try {
      await engine.startDaemon(config);
      return engine;
    } catch (error) {
      await engine[Symbol.asyncDispose]();
      throw error;
    }
  }

  /**
   * Starts its daemon, which must not run, and waits until it answers.
   * @param through what runs it; it must exec
   */
  async startDaemon(config: object = {}, through: readonly string[] = []): Promise<void> {
    const at = (name: string) => this.folder.file(name);
    const own = {
      "data-root": at("data"),
      "exec-root": at("run"),
      pidfile: at("pid"),
      hosts: [`unix://${at("sock")}`],
      "cgroup-parent": this.#group,
      "exec-opts": ["native.cgroupdriver=cgroupfs"],
    };
    Deno.writeTextFileSync(at("daemon.json"), JSON.stringify({ ...own, ...config }));
    // Not by `ip netns exec`, which mounts another /sys, without cgroups.
    const enter = ["nsenter", `--net=/run/netns/${this.namespace}`];
    const daemon = 'exec dockerd --config-file "$0" >>"$1" 2>&1';
    const env = { [MARKER]: this.#marker };
    const { pid } = this.#daemon = command([
      ...enter,
      ...through,
      "sh",
      "-c",
      daemon,
      at("daemon.json"),
      at("log"),
    ], env).spawn();
    await until(async () => {
      if (hasEnded(pid)) throw new Error(`dockerd ended:\n${Deno.readTextFileSync(at("log"))}`);
      return (await this.try("version")).code === 0;
    });
  }

  /** Ends the daemon as a service manager does. What it leaves running goes on. */
  async stopDaemon(): Promise<void> {
    this.#daemon?.kill("SIGTERM");
    await this.#daemon?.status;
    this.#daemon = undefined;
  }

  /** What Docker's client must find in its environment. */
  get environment(): Record<string, string> {
    const { folder } = this;
    const build = { DOCKER_BUILDKIT: "0" }; // the builder that needs no plugin
    return { DOCKER_HOST: `unix://${folder.file("sock")}`, DOCKER_CONFIG: folder.path, ...build };
  }

  /** Runs a `docker` command. */
  try(...args: string[]): Promise<Result> {
    return attempt(["docker", ...args], this.environment);
  }

  /** Runs a `docker` command that must succeed. @returns what it prints */
  run(...args: string[]): Promise<string> {
    return must(["docker", ...args], this.environment);
  }

  /** Starts a program for which the engine's ports are ports of localhost. */
  program(argv: readonly string[], options: ProgramOptions = {}): Program {
    const env = { ...options.env, ...this.environment };
    const enter = ["nsenter", `--net=/run/netns/${this.namespace}`] as const;
    return startProgram([...enter, ...argv], { ...options, env });
  }

  /** Ends and removes all that it has and is; synchronous, for the end of a test run. */
  remove(): void {
    const docker = (...args: string[]) =>
      resultOf(command(["docker", ...args], this.environment).outputSync()).stdout;
    const daemon = this.#daemon;
    if (daemon && !hasEnded(daemon.pid)) {
      const all = docker("ps", "--all", "--quiet").split("\n").filter((id) => id !== "");
      if (all.length > 0) docker("rm", "--force", ...all);
      daemon.kill("SIGTERM");
      const start = performance.now();
      while (!hasEnded(daemon.pid) && performance.now() - start < 10_000);
    }
    killMarked(this.#marker);
    this.#endContainers();
    for (const path of mountsBelow(this.folder.path)) {
      command(["umount", "--lazy", path]).outputSync();
    }
    this.folder[Symbol.dispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.remove();
    await this.#daemon?.status;
  }

  /** Kills what is left of containers, and removes their cgroups. */
  #endContainers(): void {
    for (const { name } of Deno.readDirSync("/sys/fs/cgroup")) {
      const folders = [...cgroups(`/sys/fs/cgroup/${name}/${this.#group}`)];
      for (const folder of folders) {
        for (const pid of lines(`${folder}/cgroup.procs`)) Deno.kill(Number(pid), "SIGKILL");
      }
      for (const folder of folders) {
        // It is busy until they are gone.
        const start = performance.now();
        while (lines(`${folder}/cgroup.procs`).length > 0 && performance.now() - start < 5000);
        Deno.removeSync(folder);
      }
    }
  }
}

/** A cgroup and those in it, the innermost first. */
function* cgroups(folder: string): Generator<string> {
  try {
    for (const entry of Deno.readDirSync(folder)) {
      if (entry.isDirectory) yield* cgroups(`${folder}/${entry.name}`);
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return;
    throw error;
  }
  yield folder;
}

/** Where something is mounted in a folder, the innermost first. */
function mountsBelow(folder: string): string[] {
  return lines("/proc/self/mountinfo").map((line) => line.split(" ")[4] ?? "")
    .filter((path) => path.startsWith(`${folder}/`)).reverse();
}

function lines(path: string): string[] {
  return Deno.readTextFileSync(path).split("\n").filter((line) => line !== "");
}
