/** The binder: holds listening sockets and hands copies of them out. */

import type { Fd } from "../../ffi/fd.ts";
import { Poller } from "../../ffi/poll.ts";
import { becomeUser, effectiveUid, unblockSignals } from "../../ffi/process.ts";
import { raiseFdLimit, reserveFds } from "../../ffi/rlimit.ts";
import { socketCookie } from "../../ffi/socket.ts";
import { expandAddresses } from "../sockets/address_list.ts";
import { Children } from "../process/children.ts";
import { EXIT, fromCommandLine } from "../errors.ts";
import type { Log } from "../log.ts";
import { Clients } from "../control/clients.ts";
import {
  type ControlSocket,
  leftOverGone,
  listenOn,
  removeControlSocket,
} from "../control/control_socket.ts";
import { ControlServer, DEFAULT_LIMITS } from "../control/server.ts";
import { listenForSignals } from "../process/signals.ts";
import { inheritedState } from "../process/successor.ts";
import { Registry } from "../sockets/registry.ts";
import { takeListenFds } from "../systemd/listen_fds.ts";
import { Notifier } from "../systemd/notify.ts";
import { Upgrade } from "../process/upgrade.ts";
import { VERSION } from "../version.ts";
import type { MetricsSocket } from "../control/metrics_socket.ts";
import { Access } from "./access.ts";
import { Alarm } from "./alarm.ts";
import { Config } from "./config.ts";
import { Counters } from "./counters.ts";
import { Holdings } from "./holdings.ts";
import { Ledger } from "./ledger.ts";
import { type BinderOptions, lookUpNames, type Rules } from "./options.ts";
import { OwnAddresses } from "./own_addresses.ts";
import { sortPassed } from "./passed_sockets.ts";
import { Onlooker } from "./onlooker.ts";
import { Policy } from "./policy.ts";
import { Requests } from "./requests.ts";
import { Store } from "./store.ts";
import { Unused } from "./unused.ts";
import { View } from "./view.ts";
import { goOnWith, handOver } from "./succession.ts";
import { type BinderState, parseState } from "./state.ts";

/**
 * Runs a binder until a signal stops it.
 * @param reread reads the options again, for a reload; undefined when there is no config file
 * @returns the exit code
 * @throws {UserError} when it cannot start; nothing is held or left behind then
 */
export async function runBinder(
  options: BinderOptions,
  log: Log,
  reread?: () => Promise<BinderOptions>,
): Promise<number> {
  const before = inheritedState(parseState);
  raiseFdLimit();
  const reserved = reserveFds(2048);
  // That takes some 10 ms, in which the clients of a predecessor would wait.
  if (!before) await reserved;
  // A successor goes by what its predecessor made of these addresses.
  const addresses = before
    ? Object.keys(before.own)
    : fromCommandLine(() => options.addresses.flatMap((one) => expandAddresses(one)));
  const binder = new Binder({ ...options, addresses }, log, reread);
  const started = binder.start(before);
  // A start may wait for names and for addresses in use, and be told to stop meanwhile.
  return await Promise.race([binder.stopped, started.then(() => binder.stopped)]);
}

class Binder {
  readonly #poller = new Poller();
  readonly #children = new Children();
  readonly #clients = new Clients();
  readonly #ledger = new Ledger();
  readonly #counters = new Counters();
  readonly #notifier: Notifier;
  readonly #registry: Registry;
  readonly #store: Store;
  readonly #own: OwnAddresses;
  readonly #holdings: Holdings;
  readonly #alarm: Alarm;
  readonly #unused: Unused | undefined;
  readonly #upgrade: Upgrade;
  readonly #view: View;
  #isStopping = false;
  readonly #stop = Promise.withResolvers<number>();
  readonly stopped = this.#stop.promise;
  #rules: Rules | undefined;
  #control: ControlSocket | undefined;
  #metrics: MetricsSocket | undefined;
  #server: ControlServer | undefined;
  /** Resolved once the binder serves, and holds its own addresses. */
  readonly #started = Promise.withResolvers<Config>();

  constructor(
    readonly options: BinderOptions,
    readonly log: Log,
    readonly reread: (() => Promise<BinderOptions>) | undefined,
  ) {
    const { backlog, releaseUnused: after, sock, unservedAfter } = options;
    this.#notifier = new Notifier(this.#poller, log);
    const registry = this.#registry = new Registry(
      backlog,
      (held, why, how) => this.#store.mended(held, why, how),
    );
    const store = this.#store = new Store(this.#notifier, registry, log);
    const own = this.#own = new OwnAddresses(registry);
    const [clients, counters, ledger] = [this.#clients, this.#counters, this.#ledger];
    const holdings = this.#holdings = new Holdings({ registry, store, own, clients, log });
    const likely = ledger.pids.bind(ledger);
    const alarm = this.#alarm = new Alarm({ registry, log, unservedAfter, likely });
    this.#unused = after === undefined ? undefined : new Unused({
      registry,
      ledger,
      log,
      after,
      isNamed: (text) => store.configured.includes(text) || holdings.keptFor(text) !== undefined,
      giveUp: ({ address }, fields) =>
        holdings.giveUp(address, "gave up a socket that nothing uses", fields),
    });
    const upgrade = this.#upgrade = new Upgrade({
      log,
      children: this.#children,
      notifier: this.#notifier,
      underWay: () => this.#notifier.underWay ?? clients.underWay,
      patience: 1000,
      givesWay: false,
      handOver: () => {
        const [control, metrics, rules] = [this.#control, this.#metrics, this.#rules];
        if (!control) throw new Error("an upgrade before the start");
        return handOver(this.#view, { control, metrics, rules });
      },
      letGo: (keep) => {
        this.#server?.closeExcept(keep);
        this.#metrics?.letGo();
      },
    });
    const seen = { sock, registry, ledger, clients, own, store, alarm, upgrade, counters };
    this.#view = new View(seen);
  }

  /**
   * Takes what others hold for it already (its predecessor, systemd, a server that runs), serves the control
   * socket, and binds what is missing: while it waits for an address in use, a client may hand that back.
   * @param before what its predecessor has handed over
   */
  async start(before: BinderState | undefined): Promise<void> {
    const { options, log } = this;
    const [own, store, holdings] = [this.#own, this.#store, this.#holdings];
    const passed = sortPassed(takeListenFds(), options.sock, options.backlog);
    this.#control = before && goOnWith(before, this.#view);
    const control = store.takeConfigured(passed);
    this.#control ??= control;
    this.#listenForSignals();
    unblockSignals();
    if (this.#isStopping) return;
    const rules = this.#rules = before?.rules ?? await lookUpNames(options, store.configured);
    const policy = new Policy(rules.policy);
    store.allowConfigured(policy);
    const wanted = await own.resolve(options.addresses);
    own.add(options.addresses, wanted, policy);
    store.takeStored(passed, policy);
    if (!before && options.take !== undefined) await holdings.takeRunning(wanted, options.take);
    const { look } = new Onlooker(this.#children, log);
    const access = new Access(rules.access, look);
    if (!this.#control) await leftOverGone(options.sock);
    if (this.#isStopping) return;
    const { fd } = this.#control ??= listenOn(options.sock, options.mode, rules.owner);
    const config = this.#configWith(rules, policy, access);
    const server = this.#server = this.#serverOn(fd, policy, access, config);
    if (before) {
      const upgraded = this.#upgrade.succeeded(before.from, before.upgrades);
      server.resume(before.clients, upgraded);
    }
    void server.run();
    try {
      if (before?.metrics || options.metrics) await this.#openMetrics(options.metrics, before);
      own.add(options.addresses, await holdings.holdOwn(wanted, access.rules), policy);
      const { user } = rules;
      // A successor is that user already.
      if (user && effectiveUid() !== user.uid) becomeUser(user);
    } catch (error) {
      this.#close();
      throw error;
    }
    log.info("listening for binds", { sock: options.sock, pid: Deno.pid, version: VERSION });
    store.showStatus();
    this.#notifier.ready();
    this.#started.resolve(config);
    this.#alarm.rounds.begin();
    this.#unused?.rounds.begin();
  }

  /** The config that a reload reads again, and what it changes. */
  #configWith(rules: Rules, policy: Policy, access: Access): Config {
    return new Config({
      options: this.options,
      reread: this.reread,
      policy,
      access,
      own: this.#own,
      store: this.#store,
      holdings: this.#holdings,
      askAgain: () => this.#server?.closeAttached() ?? 0,
      changed: () => {
        this.#rules = { ...rules, access: access.rules, policy: policy.rules };
        this.#server?.closeChanged();
      },
      log: this.log,
    });
  }

  /** What answers on the control socket. */
  #serverOn(control: Fd, policy: Policy, access: Access, config: Config): ControlServer {
    const { handle } = new Requests({
      holdings: this.#holdings,
      policy,
      access,
      ledger: this.#ledger,
      view: this.#view,
      log: this.log,
      isControl: (other) => socketCookie(control) === socketCookie(other),
      reload: () => config.readAgain(),
      upgrade: () => this.#upgrade.request(),
    });
    return new ControlServer(
      control,
      this.#poller,
      this.#counters.counting(handle),
      this.log,
      (peer) => access.rights(peer),
      DEFAULT_LIMITS,
      this.#clients,
    );
  }

  #listenForSignals(): void {
    const explain = (signal: string) => () =>
      this.log.info(`${signal} does nothing here: SIGUSR1 upgrades, SIGTERM stops`);
    listenForSignals({
      SIGTERM: () => this.#shutDown("SIGTERM"),
      SIGINT: () => this.#shutDown("SIGINT"),
      // Only then is there everything to hand over. A failure has been logged.
      SIGUSR1: () => void this.#started.promise.then(() => this.#upgrade.request()).catch(() => {}),
      SIGHUP: this.reread
        ? () => void this.#started.promise.then((config) => config.readAgain()).catch(() => {})
        : explain("SIGHUP"),
      SIGUSR2: explain("SIGUSR2"),
    });
  }

  /** Opens the socket for scrapers of metrics. Its code is loaded here, since most binders do not need it. */
  async #openMetrics(address: string | undefined, before: BinderState | undefined): Promise<void> {
    const { MetricsSocket } = await import("../control/metrics_socket.ts");
    this.#metrics = new MetricsSocket(this.#poller, this.log, () => this.#view.metrics());
    if (before?.metrics) this.#metrics.resume(before.metrics);
    else if (address !== undefined) await this.#metrics.open(address);
  }

  #shutDown(signal: string): void {
    this.log.info("stopping", { signal });
    this.#isStopping = true;
    this.#notifier.stopping();
    try {
      this.#close();
    } finally {
      this.#stop.resolve(EXIT.ok);
    }
  }

  #close(): void {
    this.#alarm.rounds.end();
    this.#unused?.rounds.end();
    if (this.#control) removeControlSocket(this.#control);
    this.#server?.close();
    this.#metrics?.close();
    this.#registry.abandon();
    this.#children[Symbol.dispose]();
  }
}
