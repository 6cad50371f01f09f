/** The wrapper: runs a server on inherited sockets, and does what the supervisor decides. */

import type { SignalName } from "../../ffi/constants.ts";
import { Fd } from "../../ffi/fd.ts";
import { Poller } from "../../ffi/poll.ts";
import { type ExitStatus, sendSignal, unblockSignals } from "../../ffi/process.ts";
import { raiseFdLimit, reserveFds } from "../../ffi/rlimit.ts";
import { Children } from "../process/children.ts";
import { EXIT, messageOf, UserError } from "../errors.ts";
import { type Log, stackOf } from "../log.ts";
import { inheritedState } from "../process/successor.ts";
import { Notifier } from "../systemd/notify.ts";
import { insistOnWritable, planTargets, type Template, writeAtomically } from "./config_files.ts";
import { Control } from "./control.ts";
import { RefusedConfig } from "../servers/check.ts";
import type { Generation, Service } from "../servers/service.ts";
import { Launcher, type Preparation } from "./launcher.ts";
import { findOrphans, listeningSocketsOf, type Orphan, retireOrphan } from "./orphans.ts";
import { Reloads } from "./reloads.ts";
import { Reporter } from "./reporter.ts";
import { chooseSockets, type Sockets } from "./sockets.ts";
import { parseWrapperState, type WrapperState } from "./state.ts";
import { type Action, type Event, Supervisor, type SupervisorLimits } from "./supervisor.ts";

/** What the command line says besides the server's own. */
export interface WrapperOptions {
  /** The binder's control socket, if one was named. */
  sock?: string;
  /** The binder's user, when that is neither root nor our own. */
  binderUid?: number;
  /** Milliseconds to wait for that binder. */
  wait: number;
  /** Folder for rendered files instead of the templates'. */
  renderDir?: string;
  /** Path of a control socket of the wrapper's own, for status, reload and upgrade. */
  control?: string;
  limits: SupervisorLimits;
}

/**
 * Runs a service until it ends.
 * @returns the exit code: the server's own, 128 + n for signal n
 * @throws {UserError} when the command line or its config is of no use
 */
export async function runWrapper(
  service: Service,
  options: WrapperOptions,
  log: Log,
): Promise<number> {
  const inherited = inheritedState();
  raiseFdLimit();
  void reserveFds(2048);
  const before = inherited === undefined ? undefined : parseWrapperState(inherited);
  // Where the sockets come from is decided once: an upgrade must not depend on who listens where by then.
  const sock = before?.binder === undefined ? options.sock : before.binder;
  const wrapper = new Wrapper(service, options, sock, log);
  await wrapper.start(before);
  return await wrapper.ended;
}

class Wrapper {
  readonly #children = new Children();
  readonly #poller = new Poller();
  readonly #sockets: Sockets;
  readonly #supervisor: Supervisor;
  readonly #notifier: Notifier;
  readonly #reporter: Reporter;
  readonly #launcher: Launcher;
  readonly #reloads = new Reloads();
  readonly #templates: Template[];
  readonly #end = Promise.withResolvers<number>();
  readonly #timers = new Map<number, number[]>();
  #control: Control | undefined;
  #orphans: Orphan[] = [];
  readonly #retiring: Promise<void>[] = [];
  /** Ends the drain of orphans. */
  readonly #stopOrphans = new AbortController();
  /** The generation that was the last to serve. */
  #lastServed: number | undefined;
  #hasReplaced = false;

  /** @param sock as in {@link WrapperOptions}, or null for no binder */
  constructor(
    readonly service: Service,
    readonly options: WrapperOptions,
    sock: string | null | undefined,
    readonly log: Log,
  ) {
    this.#templates = planTargets(service.configs, options.renderDir);
    const { binderUid, wait, limits } = options;
    this.#sockets = chooseSockets({ sock, binderUid, wait, lasting: true }, this.#poller, log);
    this.#supervisor = new Supervisor(limits);
    this.#notifier = new Notifier(this.#poller, log);
    const startTime = wait + 2 * limits.ready + limits.settle;
    this.#reporter = new Reporter(this.#notifier, this.#supervisor, startTime);
    this.#launcher = new Launcher(
      service,
      this.#templates,
      this.#sockets,
      this.#children,
      limits.ready,
    );
  }

  /** The exit code, once everything has ended. */
  get ended(): Promise<number> {
    return this.#end.promise;
  }

  /** Starts the server, or goes on supervising what an earlier program has started. */
  async start(before: WrapperState | undefined): Promise<void> {
    this.#listenForSignals();
    this.#control = new Control({
      path: this.options.control,
      poller: this.#poller,
      children: this.#children,
      notifier: this.#notifier,
      log: this.log,
      supervisor: this.#supervisor,
      sockets: this.#sockets,
      reloads: this.#reloads,
      service: this.service.identity,
      reload: () => this.#tell({ type: "reload" }),
    });
    if (before) await this.#resume(before, this.#control);
    else await this.#begin(this.#control);
    unblockSignals();
  }

  async #begin(control: Control): Promise<void> {
    const { pidFile } = this.service;
    if (pidFile !== undefined) insistOnWritable(pidFile, "the pid file");
    if (this.#templates.length === 0) {
      this.log.warn("no config here is a template: its sockets are not kept across reloads");
    }
    control.listen();
    this.#orphans = findOrphans(this.service.identity);
    if (this.#orphans.length > 0) {
      this.log.warn("a wrapper of this service has died, taking over from what it left", {
        pids: this.#orphans.map(({ pid }) => pid).join(" "),
      });
      await this.#sockets.restore(listeningSocketsOf(this.#orphans, this.log));
    }
    this.#tell({ type: "reload" });
  }

  async #resume(before: WrapperState, control: Control): Promise<void> {
    await this.#sockets.restore(
      before.sockets.map(({ param, fd }) => ({ param, fd: Fd.inherited(fd) })),
    );
    this.#reloads.last = before.lastReload;
    // The program before has told them, and any of these pids may be somebody else's by now.
    this.#hasReplaced = true;
    for (const { pid, state } of before.generations.generations) {
      if (state === "serving") this.#lastServed = pid;
      this.#watch(pid, this.#children.watch(pid));
    }
    this.#perform(this.#supervisor.restore(before.generations));
    control.resume(before);
    this.#reporter.resumed();
    // Those that the program before was about to retire.
    this.#orphans = findOrphans(this.service.identity);
    this.#retireOrphans();
    // What has ended between the programs told nobody.
    this.#children.reapAll();
  }

  #listenForSignals(): void {
    const reload = () => this.#tell({ type: "reload" });
    const stop = () => {
      if (this.#supervisor.stopping) this.#stopOrphans.abort();
      this.#tell({ type: "stop" });
    };
    Deno.addSignalListener("SIGUSR2", reload);
    Deno.addSignalListener("SIGHUP", reload);
    Deno.addSignalListener("SIGTERM", stop);
    Deno.addSignalListener("SIGINT", stop);
    Deno.addSignalListener("SIGUSR1", () => this.#control?.upgrade());
  }

  #tell(event: Event): void {
    const actions = this.#supervisor.handle(event);
    this.#perform(actions);
    this.#reporter.report(actions);
  }

  #perform(actions: readonly Action[]): void {
    actions.forEach((action) => this.#do(action));
  }

  #do(action: Action): void {
    switch (action.do) {
      case "prepare":
        return void this.#prepare();
      case "start":
        return this.#start(action.preparation);
      case "signal":
        // While it stops, it sends a soft signal to what serves alone: the delay is over.
        if (action.kind === "soft" && this.#supervisor.stopping) this.#sockets.stop();
        return this.#signal(
          action.pid,
          action.kind === "kill" ? "SIGKILL" : this.service.stopSignals[action.kind],
        );
      case "timer": {
        const { timer, pid, ms } = action;
        const id = setTimeout(() => this.#tell({ type: "timeout", timer, pid }), ms);
        this.#timers.set(pid, [...this.#timers.get(pid) ?? [], id]);
        return;
      }
      case "commit":
        return this.#commit(action.pid);
      case "rollback":
        return this.#sockets.rollback();
      case "outcome":
        return this.#reloads.finished(action.ok, action.message);
      case "log":
        return this.log[action.level](action.message, action.fields);
      case "exit":
        return void this.#exit(action.code);
    }
  }

  async #prepare(): Promise<void> {
    try {
      this.#tell({ type: "prepared", preparation: await this.#launcher.prepare() });
    } catch (error) {
      if (error instanceof RefusedConfig) {
        const { server } = this.service;
        for (const line of error.output) {
          this.log[this.service.levelOf(line)](`${server.name}: ${line}`);
        }
      }
      this.#tellFailure(error);
    }
  }

  #start(preparation: Preparation): void {
    let generation: Generation;
    try {
      generation = this.#launcher.start(preparation);
    } catch (error) {
      return this.#tellFailure(error);
    }
    const { pid, ready, exited } = generation;
    void ready.then((why) =>
      this.#tell(why === undefined ? { type: "ready", pid } : { type: "unready", pid, why })
    );
    this.#watch(pid, exited);
    this.#tell({ type: "started", pid });
  }

  #watch(pid: number, exited: Promise<ExitStatus>): void {
    void exited.then((status) => {
      // The pid may come back as another generation's: its timers must not.
      this.#timers.get(pid)?.forEach((id) => clearTimeout(id));
      this.#timers.delete(pid);
      this.#tell({ type: "exited", pid, status });
    });
  }

  #commit(pid: number): void {
    this.#sockets.commit();
    this.#lastServed = pid;
    if (this.service.pidFile !== undefined) this.#writePid(this.service.pidFile, pid);
    // Once: a pid may be somebody else's by the next reload.
    if (!this.#hasReplaced) this.#replace();
    this.#retireOrphans();
  }

  #replace(): void {
    const { stopSignals, replaces } = this.service;
    this.#hasReplaced = true;
    for (const pid of replaces?.pids ?? []) {
      this.#signal(pid, stopSignals[replaces?.stop ?? "soft"]);
    }
  }

  #retireOrphans(): void {
    const { drain } = this.options.limits;
    const { signal } = this.#stopOrphans;
    for (const orphan of this.#orphans.splice(0)) {
      this.#retiring.push(
        retireOrphan(orphan, this.service, drain, signal, this.#poller, this.log),
      );
    }
  }

  #writePid(path: string, pid: number): void {
    try {
      writeAtomically(path, `${pid}\n`);
    } catch (error) {
      this.log.error("cannot write the pid file", { path, error: messageOf(error) });
    }
  }

  #signal(pid: number, signal: SignalName): void {
    try {
      sendSignal(pid, signal);
    } catch (error) {
      this.log.error("cannot signal the server", { pid, error: messageOf(error) });
    }
  }

  #tellFailure(error: unknown): void {
    this.log.debug("failed", { stack: stackOf(error) });
    const exitCode = error instanceof UserError ? error.exitCode : EXIT.failure;
    this.#tell({ type: "failed", why: messageOf(error), exitCode });
  }

  async #exit(code: number): Promise<void> {
    // A stop leaves nothing behind. After a crash the next wrapper takes care of it, and sooner.
    if (this.#supervisor.stopping) await Promise.all(this.#retiring);
    this.#control?.close();
    this.#sockets.close();
    const { pidFile } = this.service;
    if (pidFile !== undefined) removePidFile(pidFile, this.#lastServed);
    this.#end.resolve(code);
  }
}

/** Removes a pid file if it names that process: another wrapper may have written it. */
function removePidFile(path: string, pid: number | undefined): void {
  try {
    // `-p /dev/null` is a way to have none.
    const isFile = Deno.statSync(path).isFile;
    if (isFile && Deno.readTextFileSync(path) === `${pid}\n`) Deno.removeSync(path);
  } catch {
    // It was never written, or somebody removed it.
  }
}
