/** Podman with a storage of its own, so that a test run meets no other one and leaves nothing behind. */

import { MARKER, type Program, startProgram } from "../support/program.ts";
import { type Container, Engine } from "./containers.ts";

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

export class Podman extends Engine {
  readonly name = "podman";
  readonly hostname = "127.0.0.1";
  // The format is the one that has health checks.
  readonly buildOptions = ["--pull=never", "--format=docker", "--network=none"];
  readonly removal = ["rm", "--force", "--time", "0"];
  readonly readOnly = ["--read-only", "--read-only-tmpfs=false"];

  constructor() {
    super();
    Deno.writeTextFileSync(this.folder.file("containers.conf"), CONTAINERS_CONF);
    for (const name of ["network", "tmp"]) Deno.mkdirSync(this.folder.file(name));
  }

  get command(): [string, ...string[]] {
    const at = (name: string) => this.folder.file(name);
    const places = ["--root", at("root"), "--runroot", at("run"), "--tmpdir", at("libpod")];
    return ["podman", ...places, "--network-config-dir", at("network")];
  }

  get environment(): Record<string, string> {
    const conf = this.folder.file("containers.conf");
    return { CONTAINERS_CONF: conf, TMPDIR: this.folder.file("tmp") };
  }

  /** Makes the network. Others on this machine must not get the same addresses or bridge. */
  async prepare(): Promise<void> {
    const [a = 0, b = 0] = crypto.getRandomValues(new Uint8Array(2));
    await this.run("network", "create", "--subnet", `10.${128 + a % 120}.${b}.0/24`, this.network);
    const file = this.folder.file(`network/${this.network}.json`);
    const network = JSON.parse(Deno.readTextFileSync(file));
    Deno.writeTextFileSync(file, JSON.stringify({ ...network, network_interface: `mb${a}x${b}` }));
  }

  async check(container: Container): Promise<number> {
    return (await this.try("healthcheck", "run", container.name)).code;
  }

  /** Its `docker` is podman. */
  shell(script: string, cwd: string): Program {
    const bin = this.folder.file("bin");
    Deno.mkdirSync(bin, { recursive: true });
    Deno.writeTextFileSync(
      `${bin}/docker`,
      `#!/bin/sh
case $1 in build) shift; set -- build ${this.buildOptions.join(" ")} "$@" ;; esac
# Containers outlive the command that starts them.
exec env -u ${MARKER} ${this.command.join(" ")} "$@"
`,
      { mode: 0o755 },
    );
    const env = { ...this.environment, PATH: `${bin}:${Deno.env.get("PATH")}` };
    return startProgram(["sh", "-ec", script], { cwd, env });
  }

  remove(): void {
    const [file, ...options] = this.command;
    const run = (...args: string[]) =>
      new Deno.Command(file, { args: [...options, ...args], env: this.environment }).outputSync();
    run("rm", "--all", "--force", "--time", "0");
    run("network", "rm", "--force", this.network);
    // Podman leaves its storage mounted on itself.
    new Deno.Command("umount", { args: [this.folder.file("root/overlay")], stderr: "null" })
      .outputSync();
    this.folder[Symbol.dispose]();
  }
}
