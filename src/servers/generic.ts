/**
 * Any server: what the command line says of it, and what a profile knows.
 *
 * It finds its sockets as descriptors from 3 on: by `{NAME}` in its command, by LISTEN_FDS, or by FD_NAME.
 * What multibinder does not know of a server loses no connection: without a check, a config is proven by the start of
 * a generation alone, which must come up before the one before it is told to stop.
 * @module
 */

import type { SignalName } from "../../ffi/constants.ts";
import { FIRST_FD } from "../../ffi/spawn.ts";
import { UserError } from "../errors.ts";
import { type Finding, fine } from "../finding.ts";
import type { Level } from "../log.ts";
import type { Child } from "../process/children.ts";
import { checkConfig } from "./check.ts";
import type { Launch, Words } from "./launch.ts";
import { variableOf, withNumbers } from "./named_sockets.ts";
import type { Profile } from "./profiles.ts";
import { READY_VARIABLE, startWithReadiness } from "./readiness.ts";
import type { Server, Service, ServiceOptions, Sign, Started } from "./service.ts";

const EXAMPLE = "python3 server.py --fd {http}";

/** Programs that start the server, and stay between it and whoever signals it. */
const BETWEEN = /^(?:(?:ba|da|z|k|a)?sh|npm|npx|yarn|pnpm)$/;

const HELP = `\
generic     any other program: --check, --stop-signal and --kill-signal say how it is
            checked and stopped. It is up when it says READY=1 to NOTIFY_SOCKET, or
            polls its sockets (epoll), or has stayed up for --settle; with --ready-notify,
            --ready-poll or --ready-fd that sign alone counts.
`;

/** A profile's line in the help: the server's name, and a command that runs it. */
function helpOf({ name, example }: Profile): string {
  return `${name.padEnd(12)}${example}\n`;
}

/** Makes the server that a profile describes; without a profile, the one for all other programs. */
export function genericServer(profile?: Profile): Server {
  const server: Server = {
    name: profile?.name ?? "generic",
    program: profile?.program ?? /^/,
    help: profile ? helpOf(profile) : HELP,
    example: profile?.example ?? EXAMPLE,
    isAdjustable: true,
    socketNames: (descriptors) => descriptors.join(","),
    understand: (words, options) => new Generic(server, words, options, profile),
  };
  return server;
}

/** What a user reads of a sign that has not come. */
const SIGNS: Readonly<Record<Sign, string>> = {
  notify: "READY=1 at NOTIFY_SOCKET",
  fd: `a line on the descriptor of ${READY_VARIABLE}`,
  poll: "that it polls its sockets",
};

class Generic implements Service {
  readonly purpose = "run";
  readonly stopSignals: { soft: SignalName; hard: SignalName };
  readonly configs: readonly string[];
  readonly identity: string;
  readonly #sign: Sign | undefined;
  readonly awaited: string | undefined;
  readonly mayMissStop: boolean;
  readonly #wantsOwnPid: boolean;

  constructor(
    readonly server: Server,
    readonly words: Words,
    readonly options: ServiceOptions,
    readonly profile: Profile | undefined,
  ) {
    const { named, stopSignal, killSignal } = options;
    const numbered = this.#withNumbers(words, named.length);
    const namesSockets = numbered.some((word, index) => word !== words[index]);
    this.#wantsOwnPid = !(namesSockets && profile?.takesTwice);
    this.#sign = options.sign ?? profile?.sign;
    this.awaited = this.#sign && SIGNS[this.#sign];
    this.configs = words.slice(1).filter(isFile);
    this.stopSignals = {
      soft: stopSignal ?? profile?.soft ?? "SIGTERM",
      hard: killSignal ?? profile?.hard ?? "SIGKILL",
    };
    this.mayMissStop = profile?.mayMissStop === true && stopSignal === undefined;
    // Two sites may be run by the same words, in different folders.
    const addresses = named.map(({ address }) => address);
    this.identity = [Deno.cwd(), ...words, ...addresses].join(" ");
  }

  /** @param sockets how many there are: the descriptor {ready} comes after them */
  #withNumbers(words: Words, sockets: number): Words {
    const { named, sign } = this.options;
    if (sign === "fd" && named.some((one) => variableOf(one) === READY_VARIABLE)) {
      throw new UserError(
        "--ready-fd has the name ready for its descriptor; give the socket another",
      );
    }
    return withNumbers(words, named, sign === "fd" ? { ready: FIRST_FD + sockets } : {});
  }

  run(launch: Launch): Child {
    const options = { env: this.#environment(launch) };
    const words = this.#words(launch);
    return this.#wantsOwnPid
      ? launch.startWithOwnPid(words, options)
      : launch.start(words, options);
  }

  async check(launch: Launch, timeout: number): Promise<void> {
    const argv = this.#checkWords(launch);
    if (argv === undefined) return;
    const reasonOf = (output: readonly string[], end: string | undefined) => output.at(-1) ?? end;
    const who = this.options.check === undefined ? this.server.name : "--check";
    // They are for the process that LISTEN_PID names, and there is none: some programs fail of that.
    const { LISTEN_FDS: _fds, LISTEN_FDNAMES: _names, ...env } = this.#environment(launch);
    await checkConfig(launch, { who, argv, env, timeout, reasonOf });
  }

  #checkWords(launch: Launch): Words | undefined {
    const { check } = this.options;
    if (check !== undefined) {
      return this.#withNumbers(["/bin/sh", "-c", check], launch.sockets.length);
    }
    const [program, ...rest] = this.#words(launch);
    const words = this.profile?.check?.(rest);
    return words && [program, ...words];
  }

  start(launch: Launch): Started {
    return startWithReadiness(launch, {
      argv: this.#words(launch),
      env: this.#environment(launch),
      wantsOwnPid: this.#wantsOwnPid,
      sign: this.#sign,
      settle: this.options.settle,
    });
  }

  #environment(launch: Launch): Record<string, string> {
    return { ...launch.env, ...this.profile?.variables?.(launch.named) };
  }

  #words(launch: Launch): Words {
    const [program, ...rest] = this.#withNumbers(this.words, launch.sockets.length);
    return [program, ...rest.map((word) => launch.files.get(word) ?? word)];
  }

  levelOf(): Level | undefined {
    return undefined;
  }

  examine(): Promise<Finding[]> {
    const [program] = this.words;
    const check = "program";
    const name = program.replace(/^.*\//, "");
    if (!BETWEEN.test(name)) return Promise.resolve([fine(check, `signals go to ${program}`)]);
    return Promise.resolve([{
      check,
      level: "warning",
      message:
        `signals go to ${program}, which may not pass them on to the server that it starts: a ` +
        "generation that is told to stop may go on, or its clients be cut",
      remedy: "name the server's own program, or start it by exec as the last line of the script",
    }]);
  }
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
