/** The wrapper: runs a server on inherited sockets, and does what the supervisor decides. */

import { Fd } from "../../ffi/fd.ts";
import { Poller } from "../../ffi/poll.ts";
import { unblockSignals } from "../../ffi/process.ts";
import { raiseFdLimit, reserveFds } from "../../ffi/rlimit.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { Children } from "../process/children.ts";
import { endOutputs } from "../process/output_of.ts";
import { listenForSignals } from "../process/signals.ts";
import { inheritedState } from "../process/successor.ts";
import type { Service } from "../servers/service.ts";
import { Notifier } from "../systemd/notify.ts";
import { reportFor } from "./binder_report.ts";
import { chooseSockets } from "./choose_sockets.ts";
import { planTargets } from "./config_files.ts";
import { Control } from "./control.ts";
import { Counters } from "./counters.ts";
import type { Action, Event } from "./events.ts";
import { Generations } from "./generations.ts";
import { Hooks } from "./hooks.ts";
import { Launcher } from "./launcher.ts";
import type { WrapperOptions } from "./options.ts";
import { Orphanage } from "./orphanage.ts";
import { PidFile } from "./pid_file.ts";
import { type ReloadOutcome, Reloads } from "./reloads.ts";
import { openWatch } from "./service_watch.ts";
import { SoftStop } from "./soft_stop.ts";
import type { Sockets } from "./sockets.ts";
import { parseWrapperState, type WrapperState } from "./state.ts";
import { Store } from "./store.ts";
import { Supervisor } from "./supervisor.ts";
import { SystemdReporter } from "./systemd_reporter.ts";
import type { Watch } from "./watch.ts";

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
  const before = inheritedState(parseWrapperState);
  raiseFdLimit();
  void reserveFds(2048);
  // Where the sockets come from is decided once: an upgrade must not depend on who listens where by then.
  const sock = before?.binder === undefined ? options.sock : before.binder;
  const binder = { sock, uid: before?.binderUid ?? options.binderUid?.() };
  return await new Wrapper(service, options, binder, log).run(before);
}

class Wrapper {
  readonly #children = new Children();
  readonly #poller = new Poller();
  readonly #reloads = new Reloads();
  readonly #counters = new Counters();
  readonly #sockets: Sockets;
  readonly #store: Store;
  readonly #supervisor: Supervisor;
  readonly #reporter: SystemdReporter;
  readonly #generations: Generations;
  readonly #orphanage: Orphanage;
  readonly #pidFile: PidFile | undefined;
  readonly #control: Control;
  readonly #hooks: Hooks;
  #watch: Watch | undefined;
  readonly #end = Promise.withResolvers<number>();

  /** @param binder its socket, as in {@link WrapperOptions} or null for none, and its user */
  constructor(
    readonly service: Service,
    readonly options: WrapperOptions,
    binder: { sock: string | null | undefined; uid: number | undefined },
    readonly log: Log,
  ) {
    const { sock, uid: binderUid } = binder;
    const { wait, limits, renderDir, control, metrics } = options;
    const templates = planTargets(service.configs, renderDir);
    const notifier = new Notifier(this.#poller, log);
    this.#store = new Store(notifier);
    this.#sockets = chooseSockets({ sock, binderUid, wait, longLived: true }, this.#poller, log);
    this.#supervisor = new Supervisor(limits);
    const startTime = wait + 2 * limits.ready + limits.settle;
    this.#reporter = new SystemdReporter(notifier, this.#supervisor, startTime);
    const launcher = new Launcher(
      service,
      templates,
      options,
      this.#sockets,
      this.#children,
      this.#poller,
      log,
    );
    // When a wrapper stops that has its sockets from no binder, nobody else is left to accept from them.
    const isShared = () => !this.#supervisor.stopping || this.#sockets.binder !== null;
    const softStop = new SoftStop(service, isShared, this.#poller, this.#children, log);
    this.#generations = new Generations(
      launcher,
      softStop,
      log,
      options.naming,
      (pid) => this.#supervisor.isStarting(pid),
      (event) => this.#tell(event),
    );
    this.#orphanage = new Orphanage(service, softStop, limits.drain, this.#poller, log);
    this.#pidFile = service.pidFile === undefined ? undefined : new PidFile(service.pidFile, log);
    this.#hooks = new Hooks(options.hooks, limits.ready, this.#children, log);
    this.#control = new Control({
      path: control,
      metrics,
      poller: this.#poller,
      children: this.#children,
      notifier,
      log,
      supervisor: this.#supervisor,
      sockets: this.#sockets,
      binderUid,
      reloads: this.#reloads,
      counters: this.#counters,
      service: service.identity,
      outputs: () => this.#generations.outputs,
      reload: () => this.#reload(),
      stop: () => this.#stop(),
      underWay: () => this.#hooks.underWay,
      handOver: () => ({
        mainPids: this.#generations.mainPids,
        ...(this.#watch && { watched: this.#watch.state }),
      }),
    });
  }

  /**
   * Starts the server, or goes on supervising what an earlier program has started.
   * @returns the exit code, once everything has ended
   */
  async run(before: WrapperState | undefined): Promise<number> {
    // A reload or an upgrade waits until the first start was asked for: orphans' sockets are being taken over.
    const begun = Promise.withResolvers<void>();
    const reload = () => void begun.promise.then(() => this.#tell({ type: "reload" }));
    const upgrade = () => void begun.promise.then(() => this.#control.upgrade());
    listenForSignals({
      SIGUSR2: reload,
      SIGHUP: reload,
      SIGTERM: () => this.#stop(),
      SIGINT: () => this.#stop(),
      SIGUSR1: upgrade,
    });
    if (this.options.watch.length > 0) {
      const { launcher } = this.#generations;
      this.#watch = await openWatch(launcher, this.options, () => this.#reload(), before?.watched);
    }
    if (before) await this.#resume(before);
    else await this.#begin();
    begun.resolve();
    unblockSignals();
    // A fault of the watching must not end the wrapper.
    void this.#watch?.run().catch((error) =>
      this.log.error("watching has ended", { error: messageOf(error) })
    );
    return await this.#end.promise;
  }

  async #begin(): Promise<void> {
    this.#pidFile?.insistOnWritable();
    this.#generations.launcher.insistOnSockets();
    await this.#control.listen();
    const orphans = this.#orphanage.find();
    if (orphans.length > 0) {
      this.log.warn("a wrapper of this service has died, taking over from what it left", {
        pids: orphans.join(" "),
      });
    }
    const left = this.#orphanage.sockets(this.#store.take());
    if (orphans.length + left.length > 0) await this.#sockets.restore(left);
    this.#tell({ type: "reload" });
  }

  async #resume(before: WrapperState): Promise<void> {
    await this.#sockets.restore(
      before.sockets.map(({ param, fd }) => ({ param, fd: Fd.inherited(fd) })),
    );
    this.#reloads.last = before.lastReload;
    if (before.counters) this.#counters.resume(before.counters);
    this.#generations.resume(before);
    this.#perform(this.#supervisor.restore(before.generations));
    await this.#control.resume(before);
    this.#reporter.resumed();
    // What the program before this one had systemd keep may not have been sent.
    this.#store.keep(this.#sockets.served);
    this.#tellBinder();
    // The orphans that the program before this one was about to retire.
    this.#orphanage.find();
    this.#orphanage.retire();
    // Of a child that has ended between the two programs no signal comes any more.
    this.#children.reapAll();
  }

  #tell(event: Event): void {
    const actions = this.#supervisor.handle(event);
    this.#perform(actions);
    this.#reporter.report(actions);
    this.#counters.follow(event, actions);
    this.#tellBinder();
    if (event.type === "exited") this.#tellService();
  }

  #tellService(): void {
    const { serving } = this.#supervisor;
    if (serving) this.service.ended?.(serving.pid, this.log);
  }

  #tellBinder(): void {
    const { identity } = this.service;
    const { last } = this.#reloads;
    this.#sockets.tell(reportFor(identity, this.#control.path, this.#supervisor, last));
  }

  #perform(actions: readonly Action[]): void {
    actions.forEach((action) => this.#do(action));
  }

  #do(action: Action): void {
    switch (action.do) {
      case "prepare":
        return void this.#generations.prepare(() => this.#makeReady(action.isFirst));
      case "start":
        return this.#generations.start(action.preparation, action.generation);
      case "signal":
        return this.#generations.signal(action.pid, action.kind);
      case "timer":
        return this.#generations.setTimer(action.ms, action.then);
      case "commit":
        return this.#commit(action.pid, action.isFirst);
      case "rollback":
        return this.#sockets.rollback();
      case "outcome":
        this.#reloads.finished(action.ok, action.message);
        return this.#runAfterHook(action);
      case "withdraw":
        return this.#sockets.stop();
      case "log":
        return this.log[action.level](action.message, action.fields);
      case "exit":
        return void this.#exit(action.code, action.served);
    }
  }

  #commit(pid: number, isFirst: boolean): void {
    this.#sockets.commit();
    this.#store.keep(this.#sockets.served);
    this.#pidFile?.write(pid);
    if (!isFirst) return;
    this.#generations.replaceOthers();
    this.#orphanage.retire();
  }

  /** Runs the command before a reload, which may change files, and notes what the watched files hold after it. */
  async #makeReady(isFirst: boolean): Promise<void> {
    this.#watch?.begin();
    try {
      if (!isFirst) await this.#hooks.before();
    } finally {
      await this.#watch?.note();
    }
  }

  #runAfterHook({ ok, message, isFirst }: Extract<Action, { do: "outcome" }>): void {
    const { serving } = this.#supervisor;
    if (isFirst || serving === undefined) return;
    this.#hooks.after({ ok, message, generation: serving.number, pid: serving.pid });
  }

  /** Stops, whether a signal or a request asks for it; a second time, hard. */
  #stop(): void {
    if (this.#supervisor.stopping) this.#orphanage.endDrain();
    this.#tell({ type: "stop" });
  }

  #reload(): Promise<ReloadOutcome> {
    const outcome = this.#reloads.outcome(this.#supervisor.busy);
    this.#tell({ type: "reload" });
    return outcome;
  }

  async #exit(code: number, served: number | undefined): Promise<void> {
    // A stop leaves no orphan behind. After a crash of the server, the next wrapper retires them, and starts sooner.
    if (this.#supervisor.stopping) await this.#orphanage.retired();
    endOutputs();
    this.#watch?.[Symbol.dispose]();
    this.#control.close();
    this.#sockets.close();
    this.#pidFile?.remove(served);
    this.#end.resolve(code);
  }
}
