/** The binder: holds listening sockets and hands copies of them out. */

import { Fd } from "../../ffi/fd.ts";
import { Poller } from "../../ffi/poll.ts";
import { becomeUser, effectiveUid, unblockSignals } from "../../ffi/process.ts";
import { raiseFdLimit, reserveFds } from "../../ffi/rlimit.ts";
import { socketCookie } from "../../ffi/socket.ts";
import { formatAddress } from "../sockets/address.ts";
import { expandAddresses } from "../sockets/address_list.ts";
import { Children } from "../process/children.ts";
import { EXIT, fromCommandLine, messageOf, UserError } from "../errors.ts";
import type { Log } from "../log.ts";
import { connectionState, parseConnection } from "../control/connection_state.ts";
import { type ControlSocket, listenOn, removeControlSocket } from "../control/control_socket.ts";
import { ControlServer } from "../control/server.ts";
import { listenForSignals } from "../process/signals.ts";
import { inheritedState } from "../process/successor.ts";
import { makerOf } from "../sockets/listen.ts";
import { type Holder, takeSockets } from "../sockets/taken_sockets.ts";
import { type Held, Registry, type Wanted } from "../sockets/registry.ts";
import { takeListenFds } from "../systemd/listen_fds.ts";
import { Notifier } from "../systemd/notify.ts";
import { Upgrade } from "../process/upgrade.ts";
import { Queue } from "../turns.ts";
import { VERSION } from "../version.ts";
import type { MetricsSocket } from "../control/metrics_socket.ts";
import { Access } from "./access.ts";
import { Alarm } from "./alarm.ts";
import { Counters } from "./counters.ts";
import { Ledger } from "./ledger.ts";
import { type Attached, Listing } from "./listing.ts";
import { type BinderOptions, LASTING, lookUpNames, type Rules } from "./options.ts";
import { OwnAddresses } from "./own_addresses.ts";
import { sortPassed } from "./passed_sockets.ts";
import { Onlooker } from "./onlooker.ts";
import { Policy } from "./policy.ts";
import { type Changes, describeReload } from "./reload.ts";
import { Requests } from "./requests.ts";
import { Served } from "./served.ts";
import { heldSockets } from "./status.ts";
import { Store } from "./store.ts";
import { Unused } from "./unused.ts";
import { type BinderState, parseState, STATE_VERSION } from "./state.ts";

/**
 * Runs a binder until it is told to stop.
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
  await reserveFds(2048);
  // A successor has what the program before made of the same words.
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
  readonly #notifier: Notifier;
  readonly #registry: Registry;
  readonly #ledger = new Ledger();
  readonly #listing: Listing;
  readonly #alarm: Alarm;
  readonly #served: Served;
  readonly #unused: Unused | undefined;
  readonly #upgrade: Upgrade;
  #isStopping = false;
  /** One at a time. */
  readonly #reloads = new Queue(1);
  #reload: (() => Promise<string>) | undefined;
  readonly #stop = Promise.withResolvers<number>();
  readonly stopped = this.#stop.promise;
  readonly #own: OwnAddresses;
  readonly #store: Store;
  #rules: Rules | undefined;
  #control: ControlSocket | undefined;
  readonly #counters = new Counters();
  #metrics: MetricsSocket | undefined;
  #server: ControlServer | undefined;
  #startedAt = Date.now();
  /** Kept once it serves and holds what it was told to. */
  readonly #started = Promise.withResolvers<void>();

  constructor(
    public options: BinderOptions,
    readonly log: Log,
    readonly reread: (() => Promise<BinderOptions>) | undefined,
  ) {
    this.#notifier = new Notifier(this.#poller, log);
    this.#store = new Store(this.#notifier, () => this.#registry, log);
    this.#registry = new Registry(
      options.backlog,
      (held, why, how) => this.#store.mended(held, why, how),
    );
    this.#own = new OwnAddresses(this.#registry);
    this.#listing = new Listing({
      registry: this.#registry,
      ledger: this.#ledger,
      attached: () => this.#attached,
      troubles: () => this.#alarm.troubles,
    });
    const likely = (held: Held) => this.#ledger.of(held).map(({ pid }) => pid);
    this.#alarm = new Alarm({
      registry: this.#registry,
      log,
      unservedAfter: () => this.options.unservedAfter,
      likely,
    });
    this.#served = new Served(likely);
    const { releaseUnused: after } = options;
    this.#unused = after === undefined ? undefined : new Unused({
      registry: this.#registry,
      ledger: this.#ledger,
      log,
      after,
      isNamed: (text) => this.#store.configured.includes(text) || this.#keptFor(text) !== undefined,
      release: ({ address }) => {
        this.#registry.release(address);
        this.#store.release(address);
      },
    });
    this.#upgrade = new Upgrade({
      log,
      children: this.#children,
      notifier: this.#notifier,
      underWay: () => this.#notifier.underWay ?? this.#server?.clients.underWay,
      patience: 1000,
      givesWay: false,
      handOver: () => this.#handOver(),
      letGo: (keep) => {
        this.#server?.closeExcept(keep);
        this.#metrics?.letGo();
      },
    });
  }

  async start(before: BinderState | undefined): Promise<void> {
    const { options, log } = this;
    const passed = sortPassed(takeListenFds(), options.sock, options.backlog);
    if (before) this.#restoreSockets(before);
    const control = this.#store.takeConfigured(passed);
    this.#control ??= control;
    this.#listenForSignals();
    unblockSignals();
    if (this.#isStopping) return;
    // Whoever lists what clients may ask for does not mean everything else as well.
    const listed = [...options.addresses, ...this.#store.configured, ...options.allow];
    const isOpen = listed.length === 0;
    const rules = this.#rules = before?.rules ?? await lookUpNames(options, isOpen);
    const policy = new Policy(rules.policy);
    this.#store.allowConfigured(policy);
    const own = await this.#own.resolve(options.addresses);
    this.#own.add(options.addresses, own, policy);
    this.#store.takeStored(passed, policy);
    if (!before && options.take !== undefined) await this.#takeRunning(own, options.take);
    const { look } = new Onlooker(this.#children, log);
    const access = new Access(rules.access, look);
    this.#control ??= listenOn(options.sock, options.mode, rules.owner);
    const reload = this.#reload = (): Promise<string> =>
      this.#reloads.run(() => this.#applyConfig(policy, access, requests));
    const requests: Requests = new Requests({
      registry: this.#registry,
      policy,
      log,
      ledger: this.#ledger,
      listing: this.#listing,
      access,
      isControl: (fd) =>
        this.#control !== undefined && socketCookie(this.#control.fd) === socketCookie(fd),
      keptFor: (address) => this.#keptFor(address),
      describe: () => this.#describe(),
      metrics: () => this.#exposeMetrics(),
      added: (held) => this.#store.keep(held),
      removed: (address) => this.#store.release(address),
      reload,
      upgrade: () => this.#upgrade.request(),
    });
    this.#server = new ControlServer(
      this.#control.fd,
      this.#poller,
      this.#counters.counting(requests.handle),
      log,
      (peer) => access.rights(peer),
    );
    if (before) this.#restoreConnections(this.#server, before);
    void this.#server.run();
    try {
      if (options.metrics !== undefined) await this.#openMetrics(options.metrics, before);
      const held = await requests.hold(own);
      this.#own.add(options.addresses, held, policy);
      const { user } = rules;
      // A successor is that user already.
      if (user && effectiveUid() !== user.uid) becomeUser(user);
    } catch (error) {
      this.#close();
      throw error;
    }
    log.info("listening for binds", { sock: options.sock, pid: Deno.pid, version: VERSION });
    this.#store.showStatus();
    this.#notifier.ready();
    this.#started.resolve();
    this.#alarm.watch();
    this.#unused?.watch();
  }

  /** Copies what is not held yet out of a process that runs. */
  async #takeRunning(own: readonly Wanted[], holder: Holder): Promise<void> {
    const missing = own.filter((one) => this.#registry.findWanted(one) === undefined);
    const taken = await takeSockets(missing.map(({ address }) => address), holder);
    for (const { held, pid, command } of taken) {
      this.#registry.add(held);
      const { address, fd, backlog } = held;
      const about = { address: formatAddress(address), pid, command, uid: makerOf(fd), backlog };
      this.log.info("took over", about);
      this.#store.keep(held);
    }
  }

  #restoreSockets(before: BinderState): void {
    this.#control = { ...before.control, fd: Fd.inherited(before.control.fd) };
    for (const { lent = [], since = Date.now(), ...rest } of before.held) {
      const held = { ...rest, since, fd: Fd.inherited(rest.fd) };
      this.#registry.add(held);
      this.#ledger.restore(held, lent);
    }
    this.#own.restore(before.own);
    this.#store.configured = before.configured ?? [];
    this.#startedAt = before.started;
  }

  #restoreConnections(server: ControlServer, before: BinderState): void {
    Object.assign(server.counters, before.counters);
    Object.assign(this.#counters.state, before.counted);
    const upgraded = this.#upgrade.succeeded(before.from, before.upgrades);
    for (const client of before.clients) {
      const connection = parseConnection(client);
      connection.fd.closeOnExec = true;
      server.serve(connection, upgraded);
    }
  }

  #listenForSignals(): void {
    const explain = (signal: string) => () =>
      this.log.info(`${signal} does nothing here: SIGUSR1 upgrades, SIGTERM stops`);
    listenForSignals({
      SIGTERM: () => this.#shutDown("SIGTERM"),
      SIGINT: () => this.#shutDown("SIGINT"),
      // Not before there is all to hand over. A failure was logged, and is nobody's to handle.
      SIGUSR1: () => void this.#started.promise.then(() => this.#upgrade.request()).catch(() => {}),
      SIGHUP: this.reread
        ? () => void this.#started.promise.then(() => this.#reload?.()).catch(() => {})
        : explain("SIGHUP"),
      SIGUSR2: explain("SIGUSR2"),
    });
  }

  /** Reads the config again, and does what is new in it. @returns what that is */
  async #applyConfig(policy: Policy, access: Access, requests: Requests): Promise<string> {
    const { options: before, log } = this;
    const { reread } = this;
    if (!reread) throw new UserError("this binder was started without --config");
    const own = this.#own.texts;
    try {
      const read = await reread();
      const addresses = read.addresses.flatMap((one) => expandAddresses(one));
      const listed = [...addresses, ...this.#store.configured, ...read.allow];
      const rules = await lookUpNames(read, listed.length === 0);
      const held = await requests.hold(await this.#own.resolve(addresses));
      // Nothing can fail any more.
      const later = LASTING.filter((name) => read[name] !== before[name]);
      const asBefore = Object.fromEntries(LASTING.map((name) => [name, before[name]]));
      this.options = { ...read, ...asBefore, addresses };
      const { access: oldAccess, policy: oldPolicy } = this.#rules ?? {};
      this.#rules = { ...rules, owner: this.#rules?.owner ?? rules.owner };
      access.rules = rules.access;
      policy.replace(rules.policy);
      this.#server?.closeChanged();
      this.#own.replace(addresses, held, policy);
      this.#store.allowConfigured(policy);
      const now = this.#own.texts;
      const outcome = describeReload({
        bound: now.filter((address) => !own.includes(address)),
        ...this.#giveUp(own.filter((address) => !now.includes(address)), requests),
        rules: JSON.stringify([oldAccess, oldPolicy]) !==
          JSON.stringify([rules.access, rules.policy]),
        later,
      });
      log.info("read the config again", { outcome });
      return outcome;
    } catch (error) {
      log.error("cannot do as the config says, all is as before", { error: messageOf(error) });
      throw error;
    }
  }

  /** Gives up what the config does not name any more, unless somebody would bring it back. */
  #giveUp(gone: readonly string[], requests: Requests): Pick<Changes, "gone" | "kept"> {
    const kept: Record<string, string> = {};
    for (const { address } of this.#registry.list()) {
      const text = formatAddress(address);
      if (!gone.includes(text)) continue;
      const why = this.#keptFor(text);
      if (why === undefined) requests.giveUp(address);
      else kept[text] = why;
    }
    return { gone: gone.filter((text) => !Object.hasOwn(kept, text)), kept };
  }

  /** The wrappers that are connected. */
  get #attached(): Attached[] {
    return (this.#server?.clients.attached ?? []).map(({ id, peer, holds, about }) => {
      return { id, pid: peer.pid, uid: peer.uid, holds, report: about ?? null };
    });
  }

  /** Why giving an address up would not last. */
  #keptFor(address: string): string | undefined {
    if (this.#own.texts.includes(address)) {
      return "the command line or the config names it, so that the next start would take it again";
    }
    const holder = this.#server?.clients.attached.find(({ holds }) => holds.includes(address));
    return holder &&
      `the wrapper with pid ${holder.peer.pid} uses it, and would have it bound again; stop that one first`;
  }

  /** What `status` shows. */
  async #describe(): Promise<object> {
    const { clients, counters } = this.#server ?? {};
    return {
      role: "binder",
      version: VERSION,
      pid: Deno.pid,
      uptimeSeconds: Math.round((Date.now() - this.#startedAt) / 1000),
      sock: this.options.sock,
      sockets: await heldSockets(this.#registry, clients),
      missing: this.#own.missing,
      troubles: this.#alarm.troubles,
      wrappers: this.#attached.map(({ pid, uid, report }) => ({ pid, uid, ...report })),
      clients: clients?.size ?? 0,
      ...counters,
      ...this.#upgrade.describe(),
    };
  }

  /** What no start needs is loaded when it is asked for. */
  async #openMetrics(address: string, before: BinderState | undefined): Promise<void> {
    const { MetricsSocket } = await import("../control/metrics_socket.ts");
    this.#metrics = new MetricsSocket(this.#poller, this.log, () => this.#exposeMetrics());
    if (before?.metrics) this.#metrics.resume(before.metrics);
    else await this.#metrics.open(address);
  }

  async #exposeMetrics(): Promise<string> {
    const { binderMetrics } = await import("./metrics.ts");
    const sockets = this.#registry.list();
    return await binderMetrics({
      started: this.#startedAt,
      upgrade: this.#upgrade,
      sockets,
      served: await this.#served.look(sockets, this.#attached),
      troubles: this.#alarm.troubles,
      missing: this.#own.missing.length,
      clients: this.#server?.clients.size ?? 0,
      counters: this.#counters.state,
      ...this.#server && { server: this.#server.counters },
    });
  }

  #handOver(): { state: string; keep: Fd[] } {
    const [control, server] = [this.#control, this.#server];
    if (!control || !server) throw new Error("an upgrade before the start");
    const connections = server.clients.handedOver();
    const held = this.#registry.list();
    const metrics = this.#metrics?.state;
    const state: BinderState = {
      role: "binder",
      version: STATE_VERSION,
      pid: Deno.pid,
      control: { ...control, fd: control.fd.number },
      held: held.map((one) => ({ ...one, fd: one.fd.number, lent: this.#ledger.of(one) })),
      own: this.#own.state,
      configured: this.#store.configured,
      ...(this.#rules && { rules: this.#rules }),
      clients: connections.map(connectionState),
      counters: server.counters,
      counted: this.#counters.state,
      ...(metrics && { metrics }),
      upgrades: this.#upgrade.count + 1,
      started: this.#startedAt,
      from: VERSION,
    };
    const own = [control.fd, this.#metrics?.fd].filter((fd) => fd !== undefined);
    const keep = [...own, ...connections.map(({ fd }) => fd), ...held.map(({ fd }) => fd)];
    return { state: JSON.stringify(state), keep };
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
    this.#alarm.stop();
    this.#unused?.stop();
    if (this.#control) removeControlSocket(this.#control);
    this.#server?.close();
    this.#metrics?.close();
    this.#registry.abandon();
    this.#children[Symbol.dispose]();
  }
}
