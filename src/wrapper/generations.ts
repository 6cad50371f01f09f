/** Doing with generations what the supervisor decides: preparing, starting and stopping them. */

import type { Fd } from "../../ffi/fd.ts";
import { sendSignal } from "../../ffi/process.ts";
import { EXIT, messageOf, UserError } from "../errors.ts";
import { isJournal, type Log, stackOf } from "../log.ts";
import { clientConnections } from "../process/client_connections.ts";
import { RefusedConfig } from "../servers/check.ts";
import type { Service, Started } from "../servers/service.ts";
import type { Event } from "./events.ts";
import type { Launcher, Preparation } from "./launcher.ts";
import type { SoftStop } from "./soft_stop.ts";
import { createOutputPipe, ServerOutput } from "./server_output.ts";
import { ServerProcess } from "./server_process.ts";

/** The generations that run, and how to make one. What comes of it is told as events. */
export class Generations {
  readonly #processes = new Map<number, ServerProcess>();
  readonly #outputs = new Map<number, ServerOutput>();

  constructor(
    readonly launcher: Launcher,
    readonly softStop: SoftStop,
    readonly log: Log,
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
    // Elsewhere than in the journal a line has no priority.
    const pipe = this.#service.outlivesReader && isJournal() ? createOutputPipe() : undefined;
    try {
      started = this.launcher.start(preparation, number, pipe?.writer);
    } catch (error) {
      pipe?.reader.close();
      return this.#tellFailure(error);
    } finally {
      pipe?.writer.close();
    }
    if (pipe) this.listen(started.pid, pipe.reader);
    const { pid, ready } = started;
    void ready.then((why) =>
      this.tell(why === undefined ? { type: "ready", pid } : { type: "unready", pid, why })
    );
    this.watch(started);
    this.tell({ type: "started", pid });
  }

  /** Has the journal get what a generation writes. @param reader of its standard error */
  listen(pid: number, reader: Fd): void {
    const { service, poller } = this.launcher;
    this.#outputs.set(pid, new ServerOutput(reader, poller, service.levelOf.bind(service)));
  }

  /** The descriptors of what generations write, for a successor. */
  get outputs(): { pid: number; fd: Fd }[] {
    return [...this.#outputs].flatMap(([pid, output]) => {
      output.flush();
      return output.reader.closed ? [] : [{ pid, fd: output.reader }];
    });
  }

  /** Follows a generation's process until it ends. */
  watch({ pid, exited, mainPid }: Pick<Started, "pid" | "exited" | "mainPid">): void {
    const process = new ServerProcess(pid, exited, mainPid);
    this.#processes.set(pid, process);
    void process.exited.then((status) => {
      this.#processes.delete(pid);
      this.#outputs.get(pid)?.drain();
      this.#outputs.delete(pid);
      this.tell({ type: "exited", pid, status });
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

  /** Stops a generation, if it still runs. */
  signal(pid: number, kind: "soft" | "hard" | "kill"): void {
    const process = this.#processes.get(pid);
    if (kind === "hard") this.#tellWhatIsCut(pid);
    try {
      if (kind === "kill") process?.signal("SIGKILL");
      else if (kind === "hard") process?.signal(this.#service.stopSignals.hard);
      else if (process) this.softStop.tell(pid, process.signal.bind(process));
    } catch (error) {
      this.log.error("cannot signal the server", { pid, error: messageOf(error) });
    }
  }

  #tellWhatIsCut(pid: number): void {
    const connections = clientConnections(pid);
    if (connections) this.log.warn("connections are cut by a hard stop", { pid, connections });
  }

  /** Tells an event later: if it is about a process, only as long as that runs. */
  setTimer(ms: number, event: Event): void {
    const fire = () => this.tell(event);
    if ("pid" in event) this.#processes.get(event.pid)?.after(ms, fire);
    else setTimeout(fire, ms);
  }

  /** Tells the processes that the command names to give way to the first generation. */
  replaceOthers(): void {
    const { stopSignals, replaces } = this.#service;
    for (const pid of replaces?.pids ?? []) {
      try {
        if (replaces?.stop === "hard") sendSignal(pid, stopSignals.hard);
        else this.softStop.tell(pid, (signal) => sendSignal(pid, signal), true);
      } catch (error) {
        this.log.error("cannot signal the server", { pid, error: messageOf(error) });
      }
    }
  }

  #tellFailure(error: unknown): void {
    this.log.debug("failed", { stack: stackOf(error) });
    const exitCode = error instanceof UserError ? error.exitCode : EXIT.failure;
    this.tell({ type: "failed", why: messageOf(error), exitCode });
  }
}
