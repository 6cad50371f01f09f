/** The ways to replace a HAProxy by its next generation, each with the same site. */

import { multibinder, startBinder } from "../../tests/support/binder.ts";
import { site, type SiteOptions, tag } from "../../tests/support/haproxy.ts";
import { get, newTarget } from "../../tests/support/http_client.ts";
import { childrenOf, commandOf } from "../../tests/support/process_status.ts";
import { type Program, startProgram } from "../../tests/support/program.ts";
import { tempDir } from "../../tests/support/temp_dir.ts";

/** What runs the site. */
interface Running {
  /** The HAProxys that it has started and that are left, oldest first. */
  servers(): number[];
  /** Asks for the next generation. */
  next(): void;
}

/** Milliseconds after the first answer in which HAProxy's master forgets a signal. */
export const SETTLED = 200;

/** A site that is served in one of the ways. */
export class Site implements AsyncDisposable {
  readonly target = newTarget();
  readonly stack = new AsyncDisposableStack();
  readonly folder = this.stack.use(tempDir());
  readonly config = this.folder.file("site.cfg.eta");
  bind = `${this.target.hostname}:${this.target.port}`;
  global: string[] = [];
  #running: Running = { servers: () => [], next: () => {} };
  #version = 0;

  private constructor(readonly haproxy: string, readonly options: SiteOptions) {}

  /** Starts it, and waits until it answers. */
  static async start(
    way: (site: Site) => Promise<Running> | Running,
    options: SiteOptions = {},
    haproxy = "haproxy",
  ): Promise<Site> {
    const started = new Site(haproxy, options);
    try {
      started.#running = await way(started);
      await started.#answersAnew();
      await pause(SETTLED);
      return started;
    } catch (error) {
      await started[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The HAProxy that was started last. */
  get server(): number {
    return this.#running.servers().at(-1) ?? 0;
  }

  /** Writes the config. @param bind what comes after the keyword from now on */
  write(bind = this.bind): void {
    this.bind = bind;
    const options = { ...this.options, global: this.global };
    const text = site(bind, `v${this.#version}`, options);
    Deno.writeTextFileSync(`${this.config}.new`, text);
    Deno.renameSync(`${this.config}.new`, this.config);
  }

  /** Starts a program for as long as the site is there. */
  run(argv: readonly [string, ...string[]]): Program {
    return this.stack.use(startProgram(argv, { cwd: this.folder.path }));
  }

  /** Asks for the next generation, which answers with another text. */
  next(): void {
    this.#version++;
    this.write();
    this.#running.next();
  }

  /** @returns milliseconds until the first answer of the next generation */
  async reload(): Promise<number> {
    const start = performance.now();
    this.next();
    await this.#answersAnew();
    return performance.now() - start;
  }

  async #answersAnew(): Promise<void> {
    for (const start = performance.now(); performance.now() - start < 20_000; await pause(1)) {
      if (await get(this.target).catch(() => "") === `v${this.#version}`) return;
    }
    throw new Error(`generation ${this.#version} does not answer`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stack.disposeAsync();
  }
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Those whose parent is a program. */
function serversOf({ pid }: Program): number[] {
  return childrenOf(pid).filter((child) => commandOf(child) === "haproxy").sort((a, b) => a - b);
}

/** HAProxy without a master. @param more how the next one gets the sockets */
function alone(site: Site, ...more: string[]): Running {
  const pids: number[] = [];
  site.write();
  const next = () => {
    const old = pids.at(-1);
    const words = old === undefined ? [] : [...more, "-sf", `${old}`];
    pids.push(site.run([site.haproxy, "-db", "-f", site.config, ...words]).pid);
  };
  next();
  return { servers: () => pids, next };
}

/** The name of ours in {@link WAYS}. */
export const OURS = "multibinder";

const START = 'FD="${SERVER_STARTER_PORT##*=}" exec "$0" -db -f "$1"';

/** Each way, by its name. */
export const WAYS = {
  async [OURS](site) {
    const binder = site.stack.use(await startBinder());
    site.write(tag(site.target));
    const command = [site.haproxy, "-f", site.config];
    const options = ["--sock", binder.sock, "--control", "control", "--settle", "20ms"];
    const wrapper = site.run([multibinder(), "exec", ...options, "--", ...command]);
    return { servers: () => serversOf(wrapper), next: () => wrapper.signal("SIGUSR2") };
  },
  "HAProxy, `-sf`": (site) => alone(site),
  "HAProxy, `-x` and `-sf`": (site) => {
    const admin = site.folder.file("admin");
    site.global = [`stats socket ${admin} level admin expose-fd listeners`];
    return alone(site, "-x", admin);
  },
  "HAProxy, `-W`": (site) => {
    site.write();
    const master = site.run([site.haproxy, "-W", "-f", site.config]);
    let timer: ReturnType<typeof setInterval> | undefined;
    site.stack.defer(() => clearInterval(timer));
    const next = () => {
      const before = site.server;
      master.signal("SIGUSR2");
      clearInterval(timer);
      // It forgets a signal that comes while it is not through with the one before.
      timer = setInterval(() => {
        if (site.server === before) master.signal("SIGUSR2");
        else clearInterval(timer);
      }, 1000);
    };
    return { servers: () => serversOf(master), next };
  },
  "Server::Starter": (site) => {
    const address = site.bind;
    site.write('"fd@${FD}"');
    const options = ["--signal-on-hup=USR1", `--port=${address}`];
    const server = ["sh", "-c", START, site.haproxy, site.config];
    const starter = site.run(["start_server", ...options, "--", ...server]);
    return { servers: () => serversOf(starter), next: () => starter.signal("SIGHUP") };
  },
} satisfies Record<string, (site: Site) => Promise<Running> | Running>;

/** A contender for each way. */
export function eachWay<T>(
  contender: (way: (typeof WAYS)[keyof typeof WAYS]) => T,
): Record<string, T> {
  return Object.fromEntries(Object.entries(WAYS).map(([name, way]) => [name, contender(way)]));
}
