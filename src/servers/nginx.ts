/**
 * nginx: how it is checked, started and stopped (nginx.org/en/docs/control.html, switches.html).
 *
 * Its sockets come by the variable with which a running nginx hands them to its successor: NGINX="3;4;"
 * (ngx_add_inherited_sockets of core/nginx.c). It keeps nginx in the foreground as well, whatever its config
 * says of `daemon`. A generation that starts writes its pid over that of the one before, which removes the
 * file as it ends: then it is written once more.
 * @module
 */

import { createMemfd, readOutput } from "../../ffi/memfd.ts";
import { FIRST_FD } from "../../ffi/spawn.ts";
import { messageOf, UserError } from "../errors.ts";
import type { Finding } from "../finding.ts";
import { readInputText } from "../input_file.ts";
import type { Level, Log } from "../log.ts";
import type { Child } from "../process/children.ts";
import { outputOf } from "../process/output_of.ts";
import { listeningAddress } from "../sockets/listen.ts";
import { checkConfig } from "./check.ts";
import type { Launch, Words } from "./launch.ts";
import { defaultConfig, examineBuild, examineConfig } from "./nginx/diagnosis.ts";
import { keyOf, type NginxConfig, readConfig, unservedLines } from "./nginx/listen_lines.ts";
import { startWithReadiness } from "./readiness.ts";
import type { Server, Service, ServiceOptions, Started } from "./service.ts";

const EXAMPLE = "nginx -c /etc/nginx/nginx.conf";

const HELP = `\
nginx: a config without any template. Each of its listen lines takes the socket of a
--listen with the same address; a line without one is refused, as the next generation
could not bind it. nginx runs in the foreground, its pid file is kept.

`;

/** Options that take a value as a word of their own (ngx_get_options of core/nginx.c). */
const WITH_VALUE = ["-c", "-p", "-g", "-e", "-s"];

/** Milliseconds for nginx to say what it is. */
const EXAMINE_TIME = 5000;

/** Bytes of a config that are read. */
const MAX_DUMP = 16 * 1024 * 1024;

/** nginx, with a master process or without. */
export const nginx: Server = {
  name: "nginx",
  program: /^(nginx|openresty|angie|tengine)/,
  help: HELP,
  example: EXAMPLE,
  socketNames: () => {
    throw new UserError("nginx has no word for a descriptor: write the address, and --listen it");
  },
  understand: (words, options) => new Nginx(words, options),
};

class Nginx implements Service {
  readonly server = nginx;
  readonly stopSignals = { soft: "SIGQUIT", hard: "SIGTERM" } as const;
  readonly purpose: Service["purpose"];
  readonly configs: readonly string[];
  readonly identity: string;
  #pidFile: string | undefined;
  /** Whether each socket has a listen line. */
  #polls = false;

  /** @throws {UserError} for a command that speaks to another nginx */
  constructor(readonly words: Words, readonly options: ServiceOptions) {
    const flags = words.slice(1).filter((_, index) => !WITH_VALUE.includes(words[index] ?? ""));
    if (flags.includes("-s")) {
      throw new UserError(
        "nginx -s signals a running nginx; to this one `multibinder reload`, or kill -HUP of multibinder",
      );
    }
    this.configs = words.filter((_, index) => words[index - 1] === "-c");
    const isQuestion = flags.some((flag) => ["-v", "-V", "-h", "-?"].includes(flag));
    const isCheck = flags.some((flag) => /^-[qtT]*[tT]/.test(flag));
    this.purpose = isQuestion ? "question" : isCheck ? "check" : "run";
    const addresses = options.named.map(({ address }) => address);
    this.identity = [...words, ...addresses].join(" ");
  }

  run(launch: Launch): Child {
    return launch.start(this.#words(launch), { env: environment(launch) });
  }

  async check(launch: Launch, timeout: number): Promise<void> {
    using dump = createMemfd("multibinder-nginx");
    const argv: Words = [...this.#words(launch), "-T"];
    const env = environment(launch);
    await checkConfig(launch, { who: "nginx", argv, env, timeout, reasonOf, stdout: dump });
    const config = readConfig(readOutput(dump, MAX_DUMP));
    this.#pidFile = config.pidFile;
    this.#polls = compare(config, launch);
  }

  start(launch: Launch): Started {
    const argv = this.#words(launch);
    // nginx takes inherited sockets as those of a running nginx, and leaves their mode as it is. In the blocking mode,
    // the later of two workers that are woken for one connection would wait in accept(), and serve nobody.
    launch.sockets.forEach((socket) => socket.setNonBlocking());
    const { settle } = this.options;
    // Its workers poll all sockets, unless nginx closes one that no line names.
    const sign = this.#polls ? "poll" : undefined;
    const env = environment(launch);
    return startWithReadiness(launch, { argv, env, wantsOwnPid: false, sign, settle });
  }

  /** Writes the pid file again, which a generation that has ended has removed. */
  ended(serving: number, log: Log): void {
    const path = this.#pidFile;
    if (path === undefined) return;
    try {
      Deno.writeTextFileSync(path, `${serving}\n`, { createNew: true });
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists) return;
      log.error("cannot write the pid file", { path, error: messageOf(error) });
    }
  }

  #words({ files }: Launch): Words {
    const [program, ...rest] = this.words;
    return [program, ...rest.map((word) => files.get(word) ?? word)];
  }

  async examine(launch: Launch): Promise<Finding[]> {
    const [program] = this.words;
    const { text: said } = await outputOf(
      (outputs) => launch.start([program, "-V"], outputs),
      EXAMINE_TIME,
    );
    const path = this.configs[0] ?? defaultConfig(said);
    const directives = this.words.filter((_, index) => this.words[index - 1] === "-g").join(" ");
    return [examineBuild(said), ...examineConfig(path, readText(path), directives)];
  }

  levelOf(line: string): Level | undefined {
    if (/\[(notice|info|debug)\]/.test(line)) return "info";
    if (line.includes("[warn]")) return "warn";
    return /\[(error|crit|alert|emerg)\]/.test(line) ? "error" : undefined;
  }
}

/** The numbers of all sockets: nginx finds out itself what each is. */
function environment({ env, sockets }: Launch): Record<string, string> {
  return { ...env, NGINX: sockets.map((_, index) => `${FIRST_FD + index};`).join("") };
}

/**
 * Compares the sockets with the listen lines.
 * @returns whether each socket has one
 * @throws {UserError} for lines that the next generation could not bind
 */
function compare({ listens }: NginxConfig, { sockets, named, log }: Launch): boolean {
  const keys = sockets.map((fd) => keyOf(listeningAddress(fd)));
  const missing = unservedLines(listens, new Set(keys.filter((key) => key !== undefined)));
  const wrong = missing[0] ?? listens.find(({ reuseport }) => reuseport);
  if (wrong !== undefined) {
    const { at, text, reuseport } = wrong;
    const why = reuseport
      ? "with reuseport each worker binds a socket of its own, whose connections are lost with it; leave it out"
      : "no --listen has this address, and two generations cannot bind it at once, so that no reload " +
        "would succeed; add --listen NAME=ADDRESS";
    throw new UserError(`${at}: ${text}: ${why}`);
  }
  const idle = named.filter((_, index) => !listens.some(({ key }) => key === keys[index]));
  for (const { name, address } of idle) {
    log.warn("no listen line has the address of a socket: nobody accepts from it", {
      name,
      address,
    });
  }
  return idle.length === 0;
}

function reasonOf(output: readonly string[], end: string | undefined): string | undefined {
  const reason = output.find((line) => line.includes("[emerg]")) ?? end ?? output[0];
  return reason?.replace(/^nginx: \[emerg\] /, "");
}

function readText(path: string): string | undefined {
  try {
    return readInputText(path);
  } catch {
    return undefined;
  }
}
