/** Programs under test: started, waited for by what they print, and gone at the end of the scope. */

import { PATIENCE } from "./deadline.ts";

/** Characters of each output, the last ones, that a failure shows. */
const SHOWN = 20_000;

/** Marks every process that a test started, its children and orphans included. */
export const MARKER = "MULTIBINDER_TEST_PROGRAM";

export interface ProgramOptions {
  /** Besides PATH and HOME, the only variables that reach the program. */
  env?: Readonly<Record<string, string>>;
  cwd?: string;
  /** Keeps the standard input open for {@link Program.write}; otherwise it is empty. */
  stdin?: "piped";
}

/** How a program ended; `code` is 128 + n after signal n. */
export interface Exit {
  code: number;
  signal: Deno.Signal | null;
}

/**
 * Starts a program.
 * @param argv the program, with its path or to be found in PATH, and its arguments
 */
export function startProgram(
  argv: readonly [string, ...string[]],
  options: ProgramOptions = {},
): Program {
  return new Program(argv, options);
}

/** Runs a program to its end. */
export async function runProgram(
  argv: readonly [string, ...string[]],
  options: Omit<ProgramOptions, "stdin"> = {},
): Promise<Exit & { stdout: string; stderr: string }> {
  await using program = startProgram(argv, options);
  const exit = await program.exited;
  return { ...exit, stdout: program.stdout, stderr: program.stderr };
}

/** A running program. */
export class Program implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array> | undefined;
  readonly #marker = crypto.randomUUID();
  readonly #watchers = new Set<() => void>();
  readonly #outputs: Promise<unknown>;
  #exit: Exit | undefined;
  readonly #output = { stdout: "", stderr: "" };

  constructor(readonly argv: readonly [string, ...string[]], options: ProgramOptions) {
    const { PATH = "", HOME = "" } = Deno.env.toObject();
    const [file, ...args] = argv;
    this.#child = new Deno.Command(file, {
      args,
      env: { PATH, HOME, ...options.env, [MARKER]: this.#marker },
      clearEnv: true,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      stdin: options.stdin ?? "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#input = options.stdin === "piped" ? this.#child.stdin.getWriter() : undefined;
    this.#outputs = Promise.all([this.#read("stdout"), this.#read("stderr")]);
    void this.#awaitExit();
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** What it has written so far. */
  get stdout(): string {
    return this.#output.stdout;
  }

  /** What it has written so far. */
  get stderr(): string {
    return this.#output.stderr;
  }

  /** Whether it has ended. */
  get ended(): boolean {
    return this.#exit !== undefined;
  }

  /** Its end, its output read, and that of its children unless they outlive it; rejects if it does not come. */
  get exited(): Promise<Exit> {
    return this.#within("exit", () => this.#exit);
  }

  /**
   * Waits until a whole line of either output matches, those already there included.
   * @param times resolves at the line that matches for the n-th time
   * @returns the match; rejects with all output when the program ends first
   */
  waitFor(pattern: RegExp, times = 1): Promise<RegExpMatchArray> {
    return this.#within(`${pattern}${times === 1 ? "" : ` ${times} times`}`, () => {
      const match = this.#lines().map((line) => line.match(pattern)).filter((found) => found)
        .at(times - 1);
      if (!match && this.#exit !== undefined) throw new Error("it ended first");
      return match ?? undefined;
    });
  }

  /** Sends a signal to it alone. */
  signal(name: Deno.Signal): void {
    this.#child.kill(name);
  }

  /** Sends a signal to it alone, and waits for its end. */
  end(name: Deno.Signal): Promise<Exit> {
    this.signal(name);
    return this.exited;
  }

  /** Writes to its standard input. */
  async write(text: string): Promise<void> {
    await this.#input?.write(new TextEncoder().encode(text));
  }

  /** Ends its standard input. */
  async closeInput(): Promise<void> {
    await this.#input?.close();
  }

  /** Kills it and all that it has started and reaps it, whatever state it is in. */
  async [Symbol.asyncDispose](): Promise<void> {
    // Right after its execve a process seems to have no environment, and so no mark.
    if (this.#exit === undefined) kill(this.pid);
    killMarked(this.#marker);
    // Without this, a writer whose reader is dead keeps the test from ending.
    await this.#input?.abort().catch(() => {});
    await Promise.all([this.#child.status, this.#outputs]);
  }

  /** The complete lines so far. */
  #lines(): string[] {
    return [this.stdout, this.stderr].flatMap((text) => text.split("\n").slice(0, -1));
  }

  async #read(name: "stdout" | "stderr"): Promise<void> {
    for await (const text of this.#child[name].pipeThrough(new TextDecoderStream())) {
      this.#output[name] += text;
      this.#watchers.forEach((watcher) => watcher());
    }
  }

  async #awaitExit(): Promise<void> {
    const { code, signal } = await this.#child.status;
    // Orphans that share the outputs would keep them open.
    if (marked(this.#marker).length === 0) await this.#outputs;
    this.#exit = { code, signal };
    this.#watchers.forEach((watcher) => watcher());
  }

  /** Resolves when `look`, called at every event, gives a value. */
  async #within<T>(what: string, look: () => T | undefined): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const fail = (why: string) =>
      reject(
        new Error(
          `${this.argv.join(" ")} (pid ${this.pid}): waiting for ${what}: ${why}\n` +
            `--- stdout\n${this.stdout.slice(-SHOWN)}--- stderr\n${this.stderr.slice(-SHOWN)}`,
        ),
      );
    const watcher = () => {
      try {
        const value = look();
        if (value !== undefined) resolve(value);
      } catch (error) {
        fail(error instanceof Error ? error.message : String(error));
      }
    };
    const deadline = setTimeout(() => fail(`nothing in ${PATIENCE / 1000} s`), PATIENCE);
    this.#watchers.add(watcher);
    watcher();
    try {
      return await promise;
    } finally {
      clearTimeout(deadline);
      this.#watchers.delete(watcher);
    }
  }
}

/** Kills every process that has a mark in its environment, and those that they start meanwhile. */
export function killMarked(marker: string): void {
  for (let left = marked(marker); left.length > 0; left = marked(marker)) left.forEach(kill);
}

function marked(marker: string): number[] {
  return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter((pid) => {
    try {
      return pid > 0 && Deno.readTextFileSync(`/proc/${pid}/environ`).includes(marker);
    } catch {
      return false; // ended, or another user's
    }
  });
}

function kill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
