/** HAProxy: its configs, and wrappers that run it. */

import { multibinder } from "./binder.ts";
import { exists } from "./files.ts";
import type { Target } from "./http_client.ts";
import { listeningSockets } from "./process.ts";
import { processStatus, until } from "./process_status.ts";
import { type Program, type ProgramOptions, startProgram } from "./program.ts";
import { type TempDir, tempDir } from "./temp_dir.ts";
import { serves, type WrapperStatus } from "./status.ts";
import { ignoreUnless } from "./users.ts";
import { waitForStatus } from "./wait_for_status.ts";

/** What a config is to have beside the frontend that answers. */
export interface SiteOptions {
  global?: readonly string[];
  /** Of the frontend, before its answer. */
  frontend?: readonly string[];
  /** Further sections. */
  rest?: readonly string[];
}

/**
 * A config whose frontend answers each request with `reply`.
 * @param binds what comes after the keyword `bind`
 */
export function site(
  binds: string | readonly string[],
  reply: string,
  options: SiteOptions = {},
): string {
  return [
    "global",
    ...options.global ?? [],
    "defaults",
    "mode http",
    "timeout connect 5s",
    "timeout client 30s",
    "timeout server 30s",
    "frontend site",
    ...[binds].flat().map((bind) => `bind ${bind}`),
    ...options.frontend ?? [],
    `http-request return status 200 content-type text/plain string ${reply}`,
    ...options.rest ?? [],
    "",
  ].join("\n");
}

/** The tag by which a template asks for a socket. */
export function tag({ hostname, port }: Target): string {
  return `<%= bind_tcp('${hostname}', ${port}) %>`;
}

export interface WrapperOptions extends ProgramOptions {
  /** Options of `exec`. */
  args?: readonly string[];
  /** The binder's control socket. Without one, the wrapper is started where there is no binder. */
  sock?: string;
  /** What runs it, such as `prlimit --nofile=64`. It must exec. */
  through?: readonly string[];
  /** Instead of `haproxy -f` and the template. */
  command?: readonly string[];
  /** The program, by default {@link multibinder}. */
  program?: string;
}

/** Runs a program where nobody listens at the default path of the control socket. */
const NO_BINDER = Deno.uid() === 0
  ? ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /run && exec "$0" "$@"']
  : [];

/** For `ignore` of a test that starts a wrapper without a binder. */
export const ignoreUnlessNoBinder = ignoreUnless(
  Deno.uid() === 0 || !exists("/run/multibinder.sock"),
  "to hide the binder at /run/multibinder.sock needs root",
);

/** The words that start `multibinder` with a subcommand and the options of a wrapper. */
export function wrapperCommand(subcommand: string, options: WrapperOptions): [string, ...string[]] {
  const { sock, through = [], args = [], command = [], program = multibinder() } = options;
  const place = sock === undefined ? NO_BINDER : [];
  const named = sock === undefined ? [] : ["--sock", sock];
  const [first = "", ...rest] = [...place, ...through, program, subcommand, ...named];
  return [first, ...rest, ...args, ...command.length > 0 ? ["--", ...command] : []];
}

/** A wrapper that runs HAProxy on a template of its own. */
export class Wrapper implements AsyncDisposable {
  readonly #resources = new AsyncDisposableStack();
  readonly folder: TempDir;
  readonly program: Program;
  /** Its control socket. */
  readonly control: string;

  /** Starts it; {@link startWrapper} also waits until HAProxy serves. */
  constructor(template: string, options: WrapperOptions = {}) {
    this.folder = this.#resources.use(tempDir());
    this.template = template;
    // Long enough for a generation that dies at once to be noticed, short enough for many reloads.
    const args = [...options.args ?? []];
    if (!args.includes("--settle")) args.unshift("--settle", "20ms");
    const at = args.indexOf("--control");
    if (at < 0) args.push("--control", this.folder.file("control.sock"));
    this.control = args.at(at < 0 ? -1 : at + 1) ?? "";
    const command = options.command ?? ["haproxy", "-f", this.path];
    this.program = this.#resources.use(
      startProgram(wrapperCommand("exec", { ...options, args, command }), {
        cwd: this.folder.path,
        ...options,
      }),
    );
  }

  /** Where its template is. */
  get path(): string {
    return this.folder.file("site.cfg.eta");
  }

  /** Replaces the template; the next reload takes it. */
  set template(text: string) {
    // In one step: the wrapper may be reading it.
    Deno.writeTextFileSync(`${this.path}.new`, text);
    Deno.renameSync(`${this.path}.new`, this.path);
  }

  /** Waits until its status is so. @returns that status */
  waitFor(holds: (status: WrapperStatus) => boolean): Promise<WrapperStatus> {
    return waitForStatus(this.program, this.control, holds);
  }

  /** Waits until a generation is gone; by default until none is left but the one that serves. */
  async drained(generation?: number): Promise<void> {
    await this.waitFor(({ generations }) =>
      generations.every(({ number, state }) =>
        generation === undefined ? state === "serving" : number !== generation
      )
    );
  }

  /** The generation that serves, and its process; waits for the first one. */
  async serving(): Promise<{ generation: number; pid: number }> {
    const { generations } = await this.waitFor(serves);
    const { number: generation = 0, pid = 0 } = generations.find(isServing) ?? {};
    return { generation, pid };
  }

  /** Reloads by a signal. @returns the outcome */
  async reload(signal: Deno.Signal = "SIGUSR2"): Promise<ReloadOutcome> {
    const before = await this.waitFor(() => true);
    this.program.signal(signal);
    const { lastReload } = await this.waitFor(({ lastReload }) =>
      lastReload !== null && lastReload.at !== before.lastReload?.at
    );
    if (lastReload === null) throw new Error("it has no outcome");
    const old = before.generations.find(isServing);
    // What stands in HAProxy's place in a test obeys as it likes.
    if (lastReload.ok && old && obeys(old.pid)) await hasStopped(old.pid);
    return lastReload;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#resources.disposeAsync();
  }
}

/** Whether a process is a HAProxy, and no test has suspended it. */
function obeys(pid: number): boolean {
  try {
    const isHaproxy = /\/haproxy$/.test(Deno.readLinkSync(`/proc/${pid}/exe`));
    return isHaproxy && !processStatus(pid, "State")?.startsWith("T");
  } catch {
    return false; // It has ended.
  }
}

type ReloadOutcome = NonNullable<WrapperStatus["lastReload"]>;

function isServing({ state }: WrapperStatus["generations"][number]): boolean {
  return state === "serving";
}

/** Starts a wrapper, and waits until HAProxy serves. */
export async function startWrapper(
  template: string,
  options: WrapperOptions = {},
): Promise<Wrapper> {
  await using cleanup = new AsyncDisposableStack();
  const wrapper = cleanup.use(new Wrapper(template, options));
  await wrapper.serving();
  cleanup.move();
  return wrapper;
}

/** Waits until a generation that drains accepts no more: for a moment after the signal it still may. */
export async function hasStopped(pid: number): Promise<void> {
  await until(() => {
    try {
      return listeningSockets(pid).length === 0;
    } catch {
      return processStatus(pid, "State") === undefined; // It has ended.
    }
  });
}
