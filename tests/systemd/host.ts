/** A host with real systemd, as PID 1 of a container, and the units as shipped. */

import { assertStrictEquals } from "@std/assert";
import { rootArchive } from "../container/bases.ts";
import { engine } from "../container/engine.ts";
import { multibinder } from "../support/binder.ts";
import { site, tag } from "../support/haproxy.ts";
import { HttpConnection, type Target } from "../support/http_client.ts";
import { tcpListeners } from "../support/process.ts";
import { until } from "../support/process_status.ts";
import { type Exit, type Program, runProgram, startProgram } from "../support/program.ts";
import type { BinderStatus, Status } from "../support/status.ts";
import { waitForStatus } from "../support/wait_for_status.ts";

const UNITS = new URL("../../examples/systemd", import.meta.url).pathname;
const IMAGE = "localhost/debian-systemd";

export const BINDER = "multibinder.service";
export const HAPROXY = "multibinder-haproxy@site.service";
export const BINDER_CONFIG = "/etc/multibinder/binder.toml";
/** The template of HAProxy's config, the variables of its unit, and its wrapper's control socket. */
export const TEMPLATE = "/etc/haproxy/site.cfg.eta";
export const VARIABLES = "/etc/default/multibinder-haproxy-site";
export const CONTROL = "/run/multibinder-haproxy/site/control.sock";

/** The binder's config for HAProxy's wrapper. @param addresses to hold from the start */
export function binderConfig(...addresses: string[]): string {
  return `addresses = ${
    JSON.stringify(addresses)
  }\nallow-gid = ["haproxy"]\nadopt-uid = ["haproxy"]\n`;
}

/** Debian as a plain host has it. Its own HAProxy does not start: it has no config that works. */
const DEBIAN_SCRIPT = `
debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,haproxy bookworm root
cd root
rm -rf var/cache/apt/archives/*.deb var/lib/apt/lists/* dev proc
rm -f etc/systemd/system/multi-user.target.wants/haproxy.service
mkdir dev proc
`;

let imported: Promise<string> | undefined;

async function importImage(): Promise<string> {
  return await engine.run(
    "import",
    await rootArchive("debian-bookworm-systemd", DEBIAN_SCRIPT),
    IMAGE,
  );
}

/** A config that answers with a text; to a POST once its body is there. */
export function config(text: string): string {
  return site(tag({ hostname: "0.0.0.0", port: 80 }), text, {
    frontend: ["http-request wait-for-body time 30s if METH_POST"],
  });
}

/** Such a host; it is gone at the end of the scope. */
export class Host implements AsyncDisposable {
  #resources = new AsyncDisposableStack();
  #journal: Program | undefined;

  private constructor(
    readonly target: Target,
    /** Its first process. */
    readonly init: number,
  ) {}

  /** Boots one, the program and the units in place. @param options of `podman run` */
  static async boot(options: readonly string[] = []): Promise<Host> {
    const program = ["-v", `${multibinder()}:/usr/local/bin/multibinder:ro`];
    const host = await Host.bootPlain([...options, ...program]);
    for (const { name } of Deno.readDirSync(UNITS)) {
      host.write(`/etc/systemd/system/${name}`, Deno.readTextFileSync(`${UNITS}/${name}`));
    }
    host.write(BINDER_CONFIG, binderConfig());
    return host;
  }

  /** Boots one without the program and the units. @param mounts options of `podman run` */
  static async bootPlain(mounts: readonly string[]): Promise<Host> {
    await (imported ??= importImage());
    await using cleanup = new AsyncDisposableStack();
    const name = `host-${crypto.randomUUID()}`;
    // The units' own name spaces need the right to make them.
    const options = ["--systemd=always", "--cap-add", "SYS_ADMIN"];
    const container = cleanup.use(
      await engine.start(name, ...options, ...mounts, IMAGE, "/sbin/init"),
    );
    const format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    const hostname = await engine.run("inspect", "--format", format, name);
    const host = new Host({ hostname, port: 80 }, await container.pid());
    await host.#booted();
    host.#resources = cleanup.move();
    return host;
  }

  /** Boots one on which everything runs. @param text what it answers */
  static async serving(text: string): Promise<Host> {
    const host = await Host.boot();
    try {
      host.write(BINDER_CONFIG, binderConfig(":80"));
      host.write(TEMPLATE, config(text));
      await host.run("systemctl", "enable", "--now", "multibinder", "multibinder-haproxy@site");
      return host;
    } catch (error) {
      await host[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The messages of its journal, followed. */
  get journal(): Program {
    const follow = this.#inside("journalctl", "--follow", "--lines=all", "--output=cat");
    return this.#journal ??= this.#resources.use(startProgram(follow));
  }

  /** Runs a command there. */
  async try(...command: string[]): Promise<Exit & { stdout: string; stderr: string }> {
    return await runProgram(this.#inside(...command));
  }

  /** Runs a command there that must succeed. @returns what it prints */
  async run(...command: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.try(...command);
    if (code === 0) return stdout.trim();
    const log = await this.try("journalctl", "--no-pager", "--lines=50");
    throw new Error(`${command.join(" ")} ended with ${code}:\n${stderr}\n${log.stdout}`);
  }

  /** Writes a file there, with its folder. */
  write(path: string, text: string): void {
    const file = `/proc/${this.init}/root${path}`;
    Deno.mkdirSync(file.replace(/\/[^/]*$/, ""), { recursive: true });
    Deno.writeTextFileSync(file, text);
  }

  /** Waits until the status of the binder is so, or that of the wrapper whose control socket is named. */
  async waitFor<T extends Status = BinderStatus>(
    holds: (status: T) => boolean,
    sock = "/run/multibinder.sock",
  ): Promise<T> {
    return await waitForStatus<T>(this.journal, `/proc/${this.init}/root${sock}`, holds);
  }

  /** A property of a unit. */
  async show(unit: string, property: string): Promise<string> {
    return await this.run("systemctl", "show", "--property", property, "--value", unit);
  }

  /** Waits until a unit is active. */
  async activates(unit: string): Promise<void> {
    await until(async () => await this.show(unit, "ActiveState") === "active");
  }

  /** Sends SIGKILL to the main process of a unit, and nothing else. */
  async kill(unit: string): Promise<void> {
    await this.run("systemctl", "kill", "--signal=KILL", "--kill-who=main", unit);
  }

  /** Inodes of the TCP sockets on which the main process of a unit listens. */
  async listening(unit: string): Promise<number[]> {
    return tcpListeners(outerPid(this.init, Number(await this.show(unit, "MainPID"))));
  }

  /** Lines of the journal of a unit. @param options of journalctl */
  async log(unit: string, ...options: string[]): Promise<string[]> {
    const words = ["journalctl", "--no-pager", "--output=cat", "--unit", unit, ...options];
    return (await this.run(...words)).split("\n");
  }

  /** Waits until it can be asked, which systemctl cannot, and then until all has started. */
  async #booted(): Promise<void> {
    for (let turn = 0; turn < 1000; turn++) {
      const { stdout } = await this.try("systemctl", "is-system-running", "--wait");
      if (stdout.trim() === "running") return;
    }
    throw new Error("systemd does not come up");
  }

  /** Words that run a command there, sooner than podman would. */
  #inside(...command: string[]): [string, ...string[]] {
    return ["nsenter", "--target", String(this.init), "--all", "--", ...command];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

/** Sends a request whose answer waits for {@link finish}. */
export async function beginRequest({ target }: Host): Promise<HttpConnection> {
  const connection = await HttpConnection.open(target);
  const head = ["POST / HTTP/1.1", "Host: test", "Content-Length: 4", "Expect: 100-continue"];
  await connection.connection.write(new TextEncoder().encode([...head, "", ""].join("\r\n")));
  // HAProxy says this when it begins to wait for the body.
  assertStrictEquals((await connection.receive()).status, 100);
  return connection;
}

/** Sends the rest of the request. @returns the body of the answer */
export async function finish(connection: HttpConnection): Promise<string> {
  await connection.connection.write(new TextEncoder().encode("body"));
  const { status, body } = await connection.receive();
  assertStrictEquals(status, 200);
  return body;
}

/** The pid that a process of a container has on this machine. @param init the container's first process */
export function outerPid(init: number, pid: number): number {
  const namespace = Deno.readLinkSync(`/proc/${init}/ns/pid`);
  for (const { name } of Deno.readDirSync("/proc")) {
    try {
      const status = Deno.readTextFileSync(`/proc/${name}/status`);
      const isIt = new RegExp(`^NSpid:.*\\t${pid}$`, "m").test(status);
      if (isIt && Deno.readLinkSync(`/proc/${name}/ns/pid`) === namespace) return Number(name);
    } catch {
      // No process, or one that has ended.
    }
  }
  throw new Error(`no process ${pid} in the container`);
}
