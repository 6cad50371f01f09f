/** The demonstration's programs, and waiting for what they and the traffic bring about. */

import { format } from "@std/fmt/duration";

/** How long a step may take, in milliseconds. */
const PATIENCE = 20_000;

/** How long a graceful stop may take, then a hard one, in milliseconds. */
const STOP_TIME = 7000;

/** A step of the demonstration failed. */
export class StepError extends Error {}

/** Where programs and traffic tell that something happened, and steps wait for it. */
export class Events {
  readonly #watchers = new Set<() => void>();
  #failure: Error | undefined;

  notify(): void {
    this.#watchers.forEach((watcher) => watcher());
  }

  /** Ends this wait and every later one. The first failure counts. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.notify();
  }

  /**
   * Waits until `look`, called at every event, gives a value.
   * @param what is waited for, to be said when it does not come
   */
  async until<T>(what: string, look: () => T | undefined): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const watcher = () => {
      if (this.#failure) return reject(this.#failure);
      const value = look();
      if (value !== undefined) resolve(value);
    };
    const patience = format(PATIENCE, { ignoreZero: true });
    const late = () => reject(new StepError(`waited ${patience} in vain for ${what}`));
    const timer = setTimeout(late, PATIENCE);
    this.#watchers.add(watcher);
    watcher();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#watchers.delete(watcher);
    }
  }
}

/** A running program, and what it has written. */
export class Program implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #exit: Promise<Deno.CommandStatus>;
  #stopping = false;
  log = "";

  /**
   * @param name to call it by
   * @param dir its working directory, which no program of others has
   * @param env besides PATH and HOME, the only variables it gets
   */
  constructor(
    readonly name: string,
    argv: readonly [string, ...string[]],
    readonly dir: string,
    readonly events: Events,
    env: Readonly<Record<string, string>> = {},
  ) {
    const { PATH = "", HOME = "" } = Deno.env.toObject();
    const [file, ...args] = argv;
    this.#child = new Deno.Command(file, {
      args,
      cwd: dir,
      env: { PATH, HOME, ...env },
      clearEnv: true,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
      // Ctrl-C is for the demonstration alone, which then stops its programs in their order.
      detached: true,
    }).spawn();
    this.#exit = this.#follow();
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Waits until its log matches. */
  async logged(pattern: RegExp): Promise<RegExpExecArray> {
    const what = `${pattern} in the log of ${this.name}`;
    return await this.events.until(what, () => pattern.exec(this.log) ?? undefined);
  }

  signal(name: Deno.Signal): void {
    this.#child.kill(name);
  }

  /** Stops it gracefully. @throws {StepError} when it does not end well, or not in time */
  async stop(): Promise<void> {
    this.#stopping = true;
    let exit: Deno.CommandStatus | undefined;
    void this.#exit.then((status) => {
      exit = status;
      this.events.notify();
    });
    this.signal("SIGTERM");
    const { code } = await this.events.until(`the end of ${this.name}`, () => exit);
    if (code !== 0) throw new StepError(`${this.name} ended with exit code ${code}`);
  }

  /** Whatever state it is in, ends it, and the servers it has left. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping = true;
    // The second SIGTERM is a hard stop.
    for (const signal of ["SIGTERM", "SIGTERM", "SIGKILL"] as const) {
      try {
        this.signal(signal);
      } catch {
        break; // It has ended.
      }
      if (await within(STOP_TIME, this.#exit)) break;
    }
    for (const pid of this.#servers()) Deno.kill(pid, "SIGKILL");
    await this.#exit;
  }

  /** Its servers that run: those it has told of, if they are in its folder. */
  #servers(): number[] {
    const told = this.log.matchAll(/ started generation=\d+ pid=(\d+)/g);
    return [...told].map(([, pid]) => Number(pid)).filter((pid) => {
      try {
        return Deno.readLinkSync(`/proc/${pid}/cwd`) === this.dir;
      } catch {
        return false;
      }
    });
  }

  async #follow(): Promise<Deno.CommandStatus> {
    const reading = this.#read();
    const status = await this.#child.status;
    if (!this.#stopping) {
      // What it wrote last tells why; but servers that it left may keep the output open.
      await within(500, reading);
      this.events.fail(new StepError(`${this.name} ended with exit code ${status.code}`));
    }
    return status;
  }

  async #read(): Promise<void> {
    for await (const text of this.#child.stderr.pipeThrough(new TextDecoderStream())) {
      this.log += text;
      // HAProxy's own words come before the wrapper's verdict on them.
      const error = /^\S+ error (?!haproxy:)(.*)\n/m.exec(this.log);
      if (error) this.events.fail(new StepError(`${this.name}: ${error[1]}`));
      this.events.notify();
    }
  }
}

/** Whether the promise is fulfilled in that time. */
async function within(milliseconds: number, promise: Promise<unknown>): Promise<boolean> {
  let timer: number | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), milliseconds);
  });
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
