/**
 * HAProxy: how it is checked, started and stopped (its management guide, sections 3 and 4).
 *
 * Readiness: HAProxy sends SIGUSR1 to each pid after `-sf` once it has bound everything, and not before.
 * The pid that it is given is that of a latch, a process of ours: when that signal ends it, HAProxy is up.
 * The old generations' pids are not given: the wrapper retires them itself, once the new one has stayed up for
 * the settle time, and they are spared the SIGTTOU by which HAProxy makes its predecessors let go of ports.
 * @module
 */

import { resolve } from "node:path";
import { SIGNALS } from "../../ffi/constants.ts";
import type { Fd } from "../../ffi/fd.ts";
import { createPipe } from "../../ffi/pipe.ts";
import type { Finding } from "../finding.ts";
import { FIRST_FD } from "../../ffi/spawn.ts";
import type { Level } from "../log.ts";
import type { Child } from "../process/children.ts";
import { outputOf } from "../process/output_of.ts";
import { ownCommand } from "../process/successor.ts";
import { checkConfig } from "./check.ts";
import { type CommandLine, EXAMPLE, parseCommandLine, toArgv } from "./haproxy/command_line.ts";
import { examineBuild, examineConfig } from "./haproxy/diagnosis.ts";
import { type ConfigText, configTexts, insistOnReloadable } from "./haproxy/own_binds.ts";
import { exitCodeOf, type Launch } from "./launch.ts";
import { variableOf } from "./named_sockets.ts";
import type { Begun, Server, Service, Started } from "./service.ts";

/** Signals of HAProxy without a master process. */
const STOP_SIGNALS = { soft: "SIGUSR1", hard: "SIGTERM" } as const;

/** What its lines begin with (print_message() of errors.c). */
const LEVELS = new Map<string, Level>([
  ["NOTICE", "info"],
  ["WARNING", "warn"],
  ["ALERT", "error"],
  ["EMERG", "error"],
]);

/** Milliseconds for HAProxy to say what it is. */
const EXAMINE_TIME = 5000;

const HELP = `\
HAProxy: each -f FILE that ends in .eta, .erb or .mb is a template, rendered to the same
name without that ending. In a template,
  bind <%= bind_tcp('0.0.0.0', 80) %>           becomes  bind fd@3
  bind <%= bind('[::]:443', {backlog: 4096}) %>
name listening sockets; bind "fd@\${FD_HTTP}" in any config is the one of --listen http=:80.
With -c the config is checked and nothing else. -D, -Ds, -W and -Ws are left out: HAProxy
runs in the foreground. -p FILE is kept up to date.

`;

/** HAProxy, without a master process. */
export const haproxy: Server = {
  name: "haproxy",
  // HAProxy, HAProxy Enterprise, and either with a version in its name.
  program: /^(haproxy|hapee)/,
  help: HELP,
  example: EXAMPLE,
  socketNames: (descriptors) => descriptors.map((one) => `fd@${one}`).join(","),
  understand: (words) => new Haproxy(parseCommandLine(words)),
};

class Haproxy implements Service {
  readonly server = haproxy;
  readonly stopSignals = STOP_SIGNALS;
  // It takes a socket out before the close only if it was forked after it had bound it (fd_delete() of fd.c).
  readonly leavesSocketsPolled = true;
  // It ignores SIGPIPE (main() of haproxy.c).
  readonly outlivesReader = true;

  constructor(readonly command: CommandLine) {}

  get identity(): string {
    return this.configs.map((path) => resolve(path)).join(":");
  }

  get configs(): string[] {
    return this.command.configs.map(({ path }) => path);
  }

  get purpose(): Service["purpose"] {
    return this.command.purpose;
  }

  get pidFile(): string | undefined {
    return this.command.pidFile;
  }

  get replaces(): Service["replaces"] {
    return this.command.replaces;
  }

  run(launch: Launch): Child {
    const env = cleanEnvironment(launch.env);
    const child = launch.start(toArgv(this.command, launch.files), { env });
    if (this.purpose !== "check") return child;
    const exited = child.exited.then((status) => {
      if (exitCodeOf(status) === 0) this.#insistOnReloadable(launch);
      return status;
    });
    return { ...child, exited };
  }

  async check(launch: Launch, timeout: number): Promise<Latch> {
    const argv = toArgv(this.command, launch.files, ["-c"]);
    const env = cleanEnvironment(launch.env);
    // The latch takes as long to start as the check does: side by side both take no longer.
    const latch = new Latch(launch);
    try {
      await checkConfig(launch, { who: "HAProxy", argv, env, timeout, reasonOf });
      this.#examineChecked(launch);
      return latch;
    } catch (error) {
      latch[Symbol.dispose]();
      throw error;
    }
  }

  /** Looks for what HAProxy's own check lets pass. */
  #examineChecked(launch: Launch): void {
    this.#insistOnReloadable(launch);
    const texts = this.#texts(launch);
    launch.named.forEach((socket, index) => {
      const use = new RegExp(`\\b(?:${variableOf(socket)}|fd@${FIRST_FD + index})\\b`);
      if (texts.some(({ text }) => use.test(text))) return;
      const { name, address } = socket;
      const remedy = `bind "fd@\${${variableOf(socket)}}"`;
      launch.log.warn("no line of the config uses a socket: nobody accepts from it", {
        name,
        address,
        remedy,
      });
    });
  }

  /** HAProxy's check binds nothing, and does not see what no second generation could bind. */
  #insistOnReloadable(launch: Launch): void {
    insistOnReloadable(this.#texts(launch), this.command.words);
  }

  /** The texts of its configs. */
  #texts({ files }: Launch): ConfigText[] {
    return this.configs.map((path) => files.get(path) ?? path).flatMap(configTexts);
  }

  start(launch: Launch, begun?: Begun): Started {
    const isThere = begun instanceof Latch && !begun.hasEnded;
    const latch = isThere ? begun : new Latch(launch);
    try {
      const argv = toArgv(this.command, launch.files, ["-db", "-sf", String(latch.pid)]);
      const child = launch.start(argv, { env: cleanEnvironment(launch.env) });
      // When HAProxy has ended early, the latch waits for no signal any more.
      void child.exited.then(() => latch[Symbol.dispose]());
      return { ...child, ready: latch.ready };
    } catch (error) {
      latch[Symbol.dispose]();
      throw error;
    }
  }

  async examine(launch: Launch): Promise<Finding[]> {
    const [program] = this.command.words;
    const { text } = await outputOf(
      (outputs) => launch.start([program, "-vv"], outputs),
      EXAMINE_TIME,
    );
    const configs = this.configs.map((path) => ({ path, texts: configTexts(path) }));
    const lost = configs.filter(({ texts }) => texts.length === 0).map(({ path }): Finding => ({
      check: "config",
      level: "unknown",
      message: `${path} cannot be read from here, or has no config in it`,
    }));
    const texts = configs.flatMap((one) => one.texts);
    const config = texts.length > 0 ? examineConfig(texts, this.command.words) : [];
    return [...examineBuild(text), ...lost, ...config];
  }

  levelOf(line: string): Level | undefined {
    const tag = /^\[(\w+)\]/.exec(line)?.[1];
    return tag === undefined ? undefined : LEVELS.get(tag);
  }
}

/** The process that HAProxy's signal ends once HAProxy is up. */
class Latch implements Begun {
  readonly pid: number;
  /** As in {@link Started}. */
  readonly ready: Promise<string | undefined>;
  hasEnded = false;
  readonly #writer: Fd;

  /** @throws {UserError} when this program cannot be run */
  constructor(launch: Launch) {
    const { reader, writer } = createPipe();
    this.#writer = writer;
    try {
      const [own, ...words] = ownCommand();
      const { pid, exited } = launch.start([own, ...words, "latch"], { fds: [], stdin: reader });
      this.pid = pid;
      this.ready = exited.then((status) => {
        this.hasEnded = true;
        writer.close();
        if ("signal" in status && status.signal === SIGNALS[STOP_SIGNALS.soft]) return undefined;
        const code = exitCodeOf(status);
        return `${own} ended with exit code ${code} when it was to wait for HAProxy: the file may be ` +
          "another program by now";
      });
    } catch (error) {
      writer.close();
      throw error;
    } finally {
      reader.close();
    }
  }

  /** Lets it end. */
  [Symbol.dispose](): void {
    this.#writer.close();
  }
}

const PROGRAM_REMEDY = "multibinder exec is the master here, and runs HAProxy without -W: " +
  "have systemd or another supervisor start that program";

/** What HAProxy gives as its reason, of all that it said. */
function reasonOf(output: readonly string[], end: string | undefined): string | undefined {
  const said = (sign: string) => output.find((line) => line.includes(sign))?.replace(/^.*?: /, "");
  // HAProxy asks for -W then, which the user may have written, and which was left out. 3.2 asks in a warning.
  const program = said("'program' section");
  if (program !== undefined) return `${program} ${PROGRAM_REMEDY}`;
  const alert = said("[ALERT]");
  // Some reasons are in a line without a tag, such as that there is no listener.
  return alert ?? end ?? output.find((line) => !line.startsWith("[NOTICE]"));
}

/** What a master process leaves to its workers, and to itself (mworker.c): a generation is neither. */
const MASTER_VARIABLES = new Set([
  "HAPROXY_LOAD_SUCCESS",
  "HAPROXY_MWORKER",
  "HAPROXY_MWORKER_REEXEC",
  "HAPROXY_MWORKER_WAIT_ONLY",
  "HAPROXY_PROCESSES",
]);

/** An environment without those; other variables that begin with HAPROXY_ are the user's, for the config. */
export function cleanEnvironment(env: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !MASTER_VARIABLES.has(name)));
}
