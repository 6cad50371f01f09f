/**
 * The soak: a binder and two wrappers on one address, new connections all the time, and random faults.
 * Started by scripts/soak.sh with the minutes and the seed; fails with the first thing that is not as it
 * should be.
 */

import { format } from "@std/fmt/bytes";
import { multibinder } from "../../tests/support/binder.ts";
import { site, tag } from "../../tests/support/haproxy.ts";
import { addressOf, get } from "../../tests/support/http_client.ts";
import { openFds } from "../../tests/support/process.ts";
import { commandOf, processStatus, until } from "../../tests/support/process_status.ts";
import { type Program, startProgram } from "../../tests/support/program.ts";
import { ask, type BinderStatus, serves, type WrapperStatus } from "../../tests/support/status.ts";
import { freePort, loopbackHost, tempDir } from "../../tests/support/temp_dir.ts";
import { waitForStatus } from "../../tests/support/wait_for_status.ts";
import { anySeed, elapsed, generator, print } from "./chance.ts";

/** Clients, and milliseconds between two requests of each: the servers need the processor too. */
const CLIENTS = 4;
const PAUSE = 2;
/** Descriptors, and bytes of anonymous memory, that neither role may pass while nothing happens. */
const MAX_FDS = 40;
const MAX_MEMORY = 40 * 1024 ** 2;
/** Rounds between two looks at descriptors, memory and processes. */
const ROUNDS = 10;

const minutes = Number(Deno.args[0]);
const seed = Number(Deno.args[1] ?? anySeed());
const random = generator(seed);
const target = { hostname: loopbackHost(), port: freePort() };
const counts = new Map<string, number>();
const highest = { fds: 0, memory: 0, processes: 0 };
let requests = 0;

function count(event: string): void {
  counts.set(event, (counts.get(event) ?? 0) + 1);
}

function insist(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

/** A program that is started again when it was stopped or killed. */
abstract class Role {
  #program: Program | undefined;

  constructor(
    readonly name: string,
    readonly folder: string,
    readonly stack: AsyncDisposableStack,
  ) {}

  get program(): Program {
    if (this.#program === undefined) throw new Error(`${this.name} was not started`);
    return this.#program;
  }

  /** Its control socket. */
  get sock(): string {
    return `${this.folder}/${this.name}`;
  }

  abstract readonly args: readonly string[];

  /** Waits until it does its work. */
  abstract isUp(): Promise<unknown>;

  async start(): Promise<void> {
    const argv: [string, ...string[]] = [multibinder(), ...this.args];
    this.#program = this.stack.use(startProgram(argv, { cwd: this.folder }));
    await this.isUp();
  }

  async kill(): Promise<void> {
    await this.program.end("SIGKILL");
    await this.start();
  }

  async stop(): Promise<void> {
    const { code } = await this.program.end("SIGTERM");
    insist(code === 0, `${this.name} ended with ${code}:\n${this.program.stderr.slice(-4000)}`);
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async upgrade(): Promise<void> {
    const { code, stderr } = await ask("upgrade", this.sock);
    insist(code === 0, `${this.name}: ${stderr}`);
  }
}

class Binder extends Role {
  readonly args = ["bind", "--sock", "binder", addressOf(target)];

  isUp() {
    return waitForStatus<BinderStatus>(
      this.program,
      this.sock,
      ({ missing }) => missing.length === 0,
    );
  }
}

class Wrapper extends Role {
  #version = 0;
  readonly args = [
    ...["exec", "--sock", "binder", "--control", this.name, "--settle", "20ms", "--drain", "10s"],
    ...["--", "haproxy", "-f", `${this.name}.cfg.eta`],
  ];

  isUp() {
    return waitForStatus(this.program, this.sock, serves);
  }

  configure(frontend: readonly string[] = []): void {
    const text = site(tag(target), `${this.name}.${++this.#version}`, { frontend });
    const path = `${this.folder}/${this.name}.cfg.eta`;
    Deno.writeTextFileSync(`${path}.new`, text);
    Deno.renameSync(`${path}.new`, path);
  }

  async reload(): Promise<void> {
    this.configure();
    const { code, stderr } = await ask("reload", this.sock);
    insist(code === 0, `${this.name}: ${stderr}`);
  }

  async reloadBadly(): Promise<void> {
    this.configure(["nonsense"]);
    const { code, stderr } = await ask("reload", this.sock);
    insist(code === 1 && stderr.includes("unknown keyword 'nonsense'"), `${this.name}: ${stderr}`);
    // Whoever takes over starts from what lies there.
    this.configure();
  }
}

/** What may happen to one role in a round, by its share of the rounds. */
type Choice = [share: number, what: string, event: () => Promise<void>];

function choose(
  choices: readonly Choice[],
): { what: string; event: () => Promise<void> } | undefined {
  let at = random();
  for (const [share, what, event] of choices) {
    if (at < share) return { what, event };
    at -= share;
  }
  return undefined;
}

/** Events of all roles at once, each its own. */
async function round(binder: Binder, wrappers: readonly Wrapper[]): Promise<void> {
  const chosen = [
    choose([
      [0.2, "upgrade binder", () => binder.upgrade()],
      [0.15, "kill binder", () => binder.kill()],
      [0.05, "restart binder", () => binder.restart()],
    ]),
    // Only one is stopped in a round: without either nobody would serve.
    ...wrappers.map((wrapper, index) =>
      choose([
        [0.2, `reload ${wrapper.name}`, () => wrapper.reload()],
        [0.1, `reload ${wrapper.name} with a bad config`, () => wrapper.reloadBadly()],
        [0.1, `upgrade ${wrapper.name}`, () => wrapper.upgrade()],
        [0.1, `kill ${wrapper.name}`, () => wrapper.kill()],
        [index === rounds % 2 ? 0.1 : 0, `restart ${wrapper.name}`, () => wrapper.restart()],
      ])
    ),
  ].filter((one) => one !== undefined);
  if (chosen.length === 0) return;
  print(`${chosen.map(({ what }) => what).join(", ")}  (${requests} requests)`);
  // To the end of each: what is still being started when another fails must be stopped as well.
  for (const outcome of await Promise.allSettled(chosen.map(({ event }) => event()))) {
    if (outcome.status === "rejected") throw outcome.reason;
  }
  chosen.forEach(({ what }) => count(what));
}

let rounds = 0;

/** The processes that run in the folder. */
function processesIn(folder: string): number[] {
  return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter((pid) => {
    try {
      return pid > 0 && Deno.readLinkSync(`/proc/${pid}/cwd`) === folder;
    } catch {
      return false; // ended, or another user's
    }
  });
}

/** Waits until all is quiet: connected, drained, nothing left open. */
async function quiet(folder: string, binder: Binder, wrappers: readonly Wrapper[]): Promise<void> {
  highest.processes = Math.max(highest.processes, processesIn(folder).length);
  for (const { program, sock } of wrappers) {
    await waitForStatus<WrapperStatus>(program, sock, ({ binder }) => binder?.connected ?? false);
  }
  // The binder, two wrappers, and one server of each.
  await until(() => processesIn(folder).length === 5);
  for (const { name, program: { pid } } of [binder, ...wrappers]) {
    await until(() => openFds(pid).size <= MAX_FDS);
    highest.fds = Math.max(highest.fds, openFds(pid).size);
    const memory = Number.parseInt(processStatus(pid, "RssAnon") ?? "") * 1024;
    highest.memory = Math.max(highest.memory, memory);
    insist(
      memory <= MAX_MEMORY,
      `${name} has ${format(memory, { binary: true })} of anonymous memory`,
    );
  }
}

/** New connections until the time is over or one is lost. */
async function load(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await get(target);
    } catch (error) {
      throw new Error(`lost a connection after ${requests}: ${String(error)}`);
    }
    requests++;
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}

async function soak(): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(tempDir()).path;
  const binder = new Binder("binder", folder, stack);
  const wrappers = ["v1", "v2"].map((name) => new Wrapper(name, folder, stack));
  await binder.start();
  for (const wrapper of wrappers) {
    wrapper.configure();
    await wrapper.start();
  }
  const end = new AbortController();
  const loads = Promise.all(Array.from({ length: CLIENTS }, () => load(end.signal)));
  const events = (async () => {
    for (; elapsed() < minutes * 60_000; rounds++) {
      if (end.signal.aborted) return;
      await round(binder, wrappers);
      if (rounds % ROUNDS === ROUNDS - 1) await quiet(folder, binder, wrappers);
    }
    await quiet(folder, binder, wrappers);
    end.abort();
  })();
  try {
    await Promise.all([loads, events]);
    for (const role of [...wrappers, binder]) await role.stop();
    await until(() => processesIn(folder).length === 0);
  } catch (error) {
    end.abort();
    for (const { name, program } of [binder, ...wrappers]) {
      print(`the end of the log of ${name}:\n${program.stderr.slice(-4000)}`);
    }
    const left = processesIn(folder).map((pid) => `${pid} ${commandOf(pid)}`);
    print(`processes: ${left.join(", ")}`);
    await Promise.allSettled([loads, events]);
    throw error;
  }
}

print(`soak of ${minutes} minutes on ${addressOf(target)}, seed ${seed}`);
try {
  await soak();
} catch (error) {
  print(`FAILED (seed ${seed}): ${error instanceof Error ? error.stack : String(error)}`);
  Deno.exitCode = 1;
}
for (const [event, times] of [...counts].sort()) print(`${String(times).padStart(6)} ${event}`);
print(
  `${requests} connections; at most ${highest.fds} descriptors, ` +
    `${format(highest.memory, { binary: true })} and ${highest.processes} processes; ${
      Deno.exitCode ? "FAILED" : "nothing lost"
    }`,
);
