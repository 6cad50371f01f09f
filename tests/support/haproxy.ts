/** HAProxy: its configs, and wrappers that run it. */

import { multibinder } from "./binder.ts";
import type { Target } from "./http_client.ts";
import { type Program, type ProgramOptions, startProgram } from "./program.ts";
import { type TempDir, tempDir } from "./temp_dir.ts";
import { ignoreUnless } from "./users.ts";

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

/** The tag of a template that asks for a socket. */
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

  /** Starts it; {@link startWrapper} also waits until HAProxy serves. */
  constructor(template: string, options: WrapperOptions = {}) {
    this.folder = this.#resources.use(tempDir());
    this.template = template;
    // Long enough for a generation that dies at once to be noticed, short enough for many reloads.
    const args = ["--settle", "20ms", ...options.args ?? []];
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

  /** The generation that serves, and its process. */
  get serving(): { generation: number; pid: number } {
    const lines = this.program.stderr.matchAll(
      / info (?:serving|reloaded) generation=(\d+) pid=(\d+)\n/g,
    );
    const [, generation, pid] = [...lines].at(-1) ?? [];
    if (pid === undefined) throw new Error(`no generation serves:\n${this.program.stderr}`);
    return { generation: Number(generation), pid: Number(pid) };
  }

  /** Reloads. @returns the line about the outcome */
  async reload(signal: Deno.Signal = "SIGUSR2"): Promise<string> {
    const outcome = / (info reloaded|error reload failed)/g;
    const before = this.program.stderr.match(outcome)?.length ?? 0;
    this.program.signal(signal);
    const whole = new RegExp(`.*${outcome.source}.*`);
    return (await this.program.waitFor(whole, before + 1))[0];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#resources.disposeAsync();
  }
}

/** Starts a wrapper, and waits until HAProxy serves. */
export async function startWrapper(
  template: string,
  options: WrapperOptions = {},
): Promise<Wrapper> {
  await using cleanup = new AsyncDisposableStack();
  const wrapper = cleanup.use(new Wrapper(template, options));
  await wrapper.program.waitFor(/ info serving generation=1 /);
  cleanup.move();
  return wrapper;
}

/** Waits until a generation that drains accepts no more: for a moment after the signal it still may. */
export async function hasStopped({ program }: Wrapper, pid: number): Promise<void> {
  await program.waitFor(new RegExp(`\\(${pid}\\) : Proxy site stopped`));
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
