/** Preparing, starting and stopping generations, as the supervisor decides. */

import type { SignalName } from "../../ffi/constants.ts";
import { Fd } from "../../ffi/fd.ts";
import { type ExitStatus, sendSignal } from "../../ffi/process.ts";
import { EXIT, messageOf, UserError } from "../errors.ts";
import { isJournal, type Log, stackOf } from "../log.ts";
import { clientConnections } from "../process/client_connections.ts";
import { RefusedConfig } from "../servers/check.ts";
import type { Service, Started } from "../servers/service.ts";
import { type Event, HARD_STOP_TIME } from "./events.ts";
import { lastWords } from "./last_words.ts";
import type { Launcher } from "./launcher.ts";
import type { Preparation } from "./preparation.ts";
import type { Hide } from "../templates/secrets.ts";
import type { SoftStop } from "./soft_stop.ts";
import {
  createOutputPipe,
  type Naming,
  ServerOutput,
  writerToLog,
  writeToJournal,
} from "./server_output.ts";
import { ServerProcess } from "./server_process.ts";
import type { WrapperState } from "./state.ts";

/** The generations that run, and how to make one. What happens to them is told the supervisor as events. */
export class Generations {
  readonly #processes = new Map<number, ServerProcess>();
  readonly #outputs = new Map<number, ServerOutput>();
  /** As in the preparation that was started last. */
  #hide: Hide = (text) => text;

  /**
   * @param naming how the lines of generations appear in the log, if they are to
   * @param isStarting whether a generation is the candidate, and not up yet
   * @param tell takes the events
   */
  constructor(
    readonly launcher: Launcher,
    readonly softStop: SoftStop,
    readonly log: Log,
    readonly naming: Naming | undefined,
    readonly isStarting: (pid: number) => boolean,
    readonly tell: (event: Event) => void,
  ) {}

  get #service(): Service {
    return this.launcher.service;
  }

  /** Prepares a generation. @param before what comes first, and refuses it when it fails */
  async prepare(before: () => Promise<void>): Promise<void> {
    try {
      await before();
      this.tell({ type: "prepared", preparation: await this.launcher.prepare() });
    } catch (error) {
      if (error instanceof RefusedConfig) {
        const { server } = this.#service;
        for (const line of error.rest) {
          this.log[this.#service.levelOf(line) ?? "error"](`${server.name}: ${line}`);
        }
      }
      this.#tellFailure(error);
    }
  }

  /** Starts what was prepared. */
  start(preparation: Preparation, number: number): void {
    let started: Started;
    this.#hide = preparation.hide;
    // Unless --prefix-output asks for it, lines are read for the journal alone, where each has a priority, and only
    // those of a server that goes on when their reader has ended.
    const isRead = this.naming !== undefined || this.#service.outlivesReader && isJournal();
    const pipe = isRead ? createOutputPipe() : undefined;
    try {
      started = this.launcher.start(preparation, number, pipe?.writer);
    } catch (error) {
      pipe?.reader.close();
      return this.#tellFailure(error);
    } finally {
      pipe?.writer.close();
    }
    if (pipe) this.#listen(started.pid, number, pipe.reader);
    const { pid, ready } = started;
    void ready.then((why) => {
      // It has ended: what is known of that comes as another event.
      if (!this.#processes.has(pid)) return;
      this.tell(why === undefined ? { type: "ready", pid } : { type: "unready", pid, why });
    });
    this.#watch(started, (status) => this.#hear(pid, status, preparation, number));
    this.tell({ type: "started", pid });
  }

  /** Goes on with the generations that an earlier program has started. */
  resume({ generations, mainPids, outputs }: WrapperState): void {
    for (const { pid, number } of generations.generations) {
      const exited = this.launcher.children.watch(pid);
      const main = mainPids?.[pid];
      this.#watch({ pid, exited, ...(main !== undefined && { mainPid: () => main }) });
      const output = outputs?.find((one) => one.pid === pid);
      if (output) this.#listen(pid, number, Fd.inherited(output.fd));
    }
  }

  /** Passes what a generation writes on to the journal or the log. @param reader of its standard error */
  #listen(pid: number, number: number, reader: Fd): void {
    const { service, poller } = this.launcher;
    const write = this.naming
      ? writerToLog(this.naming, number, this.launcher.hiddenLog())
      : writeToJournal;
    this.#outputs.set(pid, new ServerOutput(reader, poller, service.levelOf.bind(service), write));
  }

  /** The descriptors of what generations write, for a successor. */
  get outputs(): { pid: number; fd: Fd }[] {
    return [...this.#outputs].flatMap(([pid, output]) => {
      output.flush();
      return output.reader.closed ? [] : [{ pid, fd: output.reader }];
    });
  }

  /**
   * Follows a generation's process until it ends.
   * @param hear finds out what it said last
   */
  #watch(
    { pid, exited, mainPid }: Pick<Started, "pid" | "exited" | "mainPid">,
    hear?: (status: ExitStatus) => Promise<string[] | undefined>,
  ): void {
    const process = new ServerProcess(pid, exited, mainPid);
    this.#processes.set(pid, process);
    void process.exited.then(async (status) => {
      this.#processes.delete(pid);
      const heard = this.#wordsOf(pid);
      this.#outputs.delete(pid);
      const said = heard ?? await hear?.(status);
      this.tell({ type: "exited", pid, status, ...(said && { said }) });
    });
  }

  /** The processes that generations have named for their signals, by the generations' own. */
  get mainPids(): Record<string, number> {
    return Object.fromEntries(
      [...this.#processes].flatMap(([pid, { mainPid }]) => {
        const main = mainPid?.();
        return main === undefined ? [] : [[pid, main]];
      }),
    );
  }

  /** What a generation said last; undefined where its lines do not pass through us. */
  #wordsOf(pid: number): string[] | undefined {
    return this.#outputs.get(pid)?.words.map(this.#hide);
  }

  /** Finds out what a generation said that has failed to come up, and whose lines did not pass through us. */
  async #hear(
    pid: number,
    status: ExitStatus,
    preparation: Preparation,
    number: number,
  ): Promise<string[] | undefined> {
    // A server that ended with code 0 has gone into the background: a second start would make two of it.
    const isFailed = "code" in status && status.code !== 0;
    if (!isFailed || !this.isStarting(pid)) return undefined;
    try {
      const words = await lastWords(
        (output) => this.launcher.start(preparation, number, output),
        (line) => this.#service.levelOf(line) === "error",
        (started, isUp) => this.#dismiss(started, isUp),
      );
      return words.length > 0 ? words.map(preparation.hide) : undefined;
    } catch (error) {
      this.log.debug("cannot start it once more", { error: messageOf(error) });
      return undefined;
    }
  }

  /** Stops a server that was not to come up, and did; it may finish what it has accepted. */
  #dismiss({ pid, exited, mainPid }: Started, isUp: boolean): void {
    const process = new ServerProcess(pid, exited, mainPid);
    const { hard } = this.#service.stopSignals;
    this.log.warn("started once more to hear why it had ended, it goes on: stopping it", { pid });
    const send = (name: SignalName) => this.#try(pid, () => process.signal(name));
    const { ready } = this.launcher.options.limits;
    process.after(isUp ? ready : 0, () => send(hard));
    process.after(ready + HARD_STOP_TIME, () => send("SIGKILL"));
    if (isUp) this.#try(pid, () => this.softStop.tell(pid, process.signal.bind(process)));
  }

  /** Stops a generation, if it still runs. */
  signal(pid: number, kind: "soft" | "hard" | "kill"): void {
    const process = this.#processes.get(pid);
    if (kind === "hard") this.#tellWhatIsCut(pid);
    this.#try(pid, () => {
      if (kind === "kill") process?.signal("SIGKILL");
      else if (kind === "hard") process?.signal(this.#service.stopSignals.hard);
      else if (process) this.softStop.tell(pid, process.signal.bind(process));
    });
  }

  /** Signals a process; that it may not be signalled is logged. */
  #try(pid: number, send: () => void): void {
    try {
      send();
    } catch (error) {
      this.log.error("cannot signal the server", { pid, error: messageOf(error) });
    }
  }

  #tellWhatIsCut(pid: number): void {
    const connections = clientConnections(pid);
    if (connections) this.log.warn("connections are cut by a hard stop", { pid, connections });
  }

  /** Gives the supervisor an event later; one that is about a process, only if that still runs. */
  setTimer(ms: number, event: Event): void {
    const fire = () => {
      this.tell(event.type === "ready-timeout" ? { ...event, ...this.#unready(event.pid) } : event);
    };
    if ("pid" in event) this.#processes.get(event.pid)?.after(ms, fire);
    else setTimeout(fire, ms);
  }

  /** What is known of a generation that has not come up. */
  #unready(pid: number): { said?: readonly string[]; awaited?: string } {
    const said = this.#wordsOf(pid);
    const { awaited } = this.#service;
    return { ...(said && { said }), ...(awaited !== undefined && { awaited }) };
  }

  /** Tells the processes that the command names to give way to the first generation. */
  replaceOthers(): void {
    const { stopSignals, replaces } = this.#service;
    for (const pid of replaces?.pids ?? []) {
      this.#try(pid, () => {
        if (replaces?.stop === "hard") sendSignal(pid, stopSignals.hard);
        else this.softStop.tell(pid, (signal) => sendSignal(pid, signal), true);
      });
    }
  }

  #tellFailure(error: unknown): void {
    this.log.debug("failed", { stack: stackOf(error) });
    const exitCode = error instanceof UserError ? error.exitCode : EXIT.failure;
    this.tell({ type: "failed", why: messageOf(error), exitCode });
  }
}
