/**
 * The wrapper's own control socket: status, reload and upgrade, each with its outcome.
 *
 * It is the wrapper's and not the binder's business, since a wrapper is also used without a binder, and
 * outlives it. Wrappers in containers may share a folder, or have none that they may write to: so where no path
 * was asked for, it has a name of its own in the abstract namespace, which the binder tells to those who ask.
 */

import { Fd } from "../../ffi/fd.ts";
import type { Poller } from "../../ffi/poll.ts";
import { effectiveUid } from "../../ffi/process.ts";
import type { Children } from "../process/children.ts";
import { messageOf, UserError } from "../errors.ts";
import type { Log } from "../log.ts";
import { connectionState } from "../control/connection_state.ts";
import {
  type ControlSocket,
  leftOverGone,
  listenOn,
  listenUnnamed,
  removeControlSocket,
} from "../control/control_socket.ts";
import { MAX_MESSAGE_BYTES } from "../control/framing.ts";
import { RPC, RpcError } from "../control/messages.ts";
import type { Caller, Handler, Peer, Reply, Rights } from "../control/handler.ts";
import { ControlServer } from "../control/server.ts";
import type { MetricsSocket, MetricsSocketState } from "../control/metrics_socket.ts";
import { joinParts } from "../sockets/address.ts";
import type { Notifier } from "../systemd/notify.ts";
import { ageOf } from "../process/age.ts";
import { clientConnections } from "../process/client_connections.ts";
import { Upgrade } from "../process/upgrade.ts";
import { VERSION } from "../version.ts";
import type { Counters } from "./counters.ts";
import type { ReloadOutcome, Reloads } from "./reloads.ts";
import type { Sockets } from "./sockets.ts";
import { WRAPPER_STATE_VERSION, type WrapperState } from "./state.ts";
import type { Supervisor } from "./supervisor.ts";

/** What the control socket shows and controls. */
export interface Controlled {
  /** Where to listen; undefined for a name of its own in the abstract namespace. */
  path: string | undefined;
  /** Where metrics are to be read; undefined for nowhere. */
  metrics: string | undefined;
  poller: Poller;
  children: Children;
  notifier: Notifier;
  log: Log;
  supervisor: Supervisor;
  sockets: Sockets;
  /** The user that was named as the binder's. */
  binderUid?: number | undefined;
  reloads: Reloads;
  counters: Counters;
  service: string;
  /** Pipes that generations write to. */
  outputs: () => readonly { pid: number; fd: Fd }[];
  /** Asks for a reload, and waits for its end. */
  reload: () => Promise<ReloadOutcome>;
  stop: () => void;
  /** Settles when what cannot be handed over has ended, starts and reloads aside; undefined when nothing runs. */
  underWay: () => Promise<unknown> | undefined;
  /** What the state for a successor also has, and this class does not know. */
  handOver: () => Pick<WrapperState, "mainPids" | "watched">;
}

/** Only the wrapper's own user, and root, can connect. */
const MODE = 0o600;

/** Bytes of a request that is going to be refused anyway. */
const MAX_STRANGER_BYTES = 4096;

/**
 * What a peer may do. The mode of a file says who may connect to it; a name in the abstract namespace has no mode. In
 * either case only root and the wrapper's own user may ask for what changes anything.
 */
function rightsOf(peer: Peer, isFile: boolean): Rights {
  const trusted = isTrusted(peer);
  const served = trusted || isFile;
  return { served, trusted, maxFds: 0, maxBytes: served ? MAX_MESSAGE_BYTES : MAX_STRANGER_BYTES };
}

/** See the module's description. */
export class Control {
  readonly #upgrade: Upgrade;
  #socket: ControlSocket | undefined;
  #server: ControlServer | undefined;
  #metrics: MetricsSocket | undefined;
  #started = Date.now();

  constructor(readonly controlled: Controlled) {
    const { log, children, notifier, reloads, supervisor, underWay } = controlled;
    this.#upgrade = new Upgrade({
      log,
      children,
      notifier,
      underWay: () => supervisor.busy ? reloads.outcome(false) : underWay(),
      patience: 10_000,
      givesWay: true,
      handOver: () => this.#handOver(),
      letGo: () => this.#metrics?.letGo(),
    });
  }

  /** Opens the control socket and the socket for metrics, as far as there are to be any. */
  async listen(): Promise<void> {
    const { path } = this.controlled;
    if (path === undefined) this.#listenUnnamed();
    else {
      await leftOverGone(path);
      this.#serve(listenOn(path, MODE));
    }
    await this.#openMetrics();
  }

  /** Goes on as an earlier program's successor. */
  async resume(before: WrapperState): Promise<void> {
    const { control, clients, started, from, upgrades } = before;
    this.#started = started;
    const outcome = this.#upgrade.succeeded(from, upgrades);
    await this.#openMetrics(before.metrics);
    if (control === null) return this.#listenUnnamed();
    this.#serve({ ...control, fd: Fd.inherited(control.fd) }).resume(clients, outcome);
  }

  /** Where it listens: a path, or `@` and a name; null for nowhere. */
  get path(): string | null {
    return this.#socket?.path ?? null;
  }

  #listenUnnamed(): void {
    try {
      this.#serve(listenUnnamed());
    } catch (error) {
      this.controlled.log.debug("cannot listen on a control socket", { error: messageOf(error) });
    }
  }

  /** Upgrades in place; a failure is logged. */
  upgrade(): void {
    void this.#upgrade.request().catch(() => {});
  }

  /** Closes the sockets. */
  close(): void {
    this.#metrics?.close();
    if (this.#socket) removeControlSocket(this.#socket);
    this.#server?.close();
  }

  #serve(socket: ControlSocket): ControlServer {
    const { poller, log } = this.controlled;
    this.#socket = socket;
    const isFile = !socket.path.startsWith("@");
    const rights = (peer: Peer) => rightsOf(peer, isFile);
    this.#server = new ControlServer(socket.fd, poller, this.#handle, log, rights);
    void this.#server.run();
    return this.#server;
  }

  #handle: Handler = (request, caller) => {
    switch (request.method) {
      case "status":
        return Promise.resolve({ result: this.#describe(), fds: [] });
      case "metrics":
        return this.#metricsText();
      case "reload":
        insistOnTrust(caller);
        return this.#reload();
      case "stop":
        insistOnTrust(caller);
        // After the answer: where nothing is to be waited for, it ends at once.
        setTimeout(() => this.controlled.stop(), 0);
        return Promise.resolve({ result: "stopping", fds: [] });
      case "upgrade":
        insistOnTrust(caller);
        caller.oweAnswer();
        return this.#upgrade.request();
      default:
        throw new RpcError(RPC.methodNotFound, `Method not found: ${request.method.slice(0, 100)}`);
    }
  };

  async #reload(): Promise<Reply> {
    const { reload, supervisor } = this.controlled;
    if (supervisor.ending) throw new RpcError(RPC.failed, "the wrapper is stopping");
    const { ok, message } = await reload();
    if (!ok) throw new RpcError(RPC.failed, `reload failed: ${message}`);
    return { result: message, fds: [] };
  }

  /** Why load balancers are to send nobody here: from the first request to stop on, while the server still serves. */
  #unready(): string | undefined {
    const { supervisor } = this.controlled;
    if (supervisor.ending) return "stopping";
    return supervisor.serving ? undefined : "no generation of the server serves";
  }

  /** What most starts do not need is loaded when it is asked for. */
  async #openMetrics(before?: MetricsSocketState): Promise<void> {
    const { log, metrics, poller } = this.controlled;
    if (metrics === undefined) return;
    const { MetricsSocket } = await import("../control/metrics_socket.ts");
    this.#metrics = new MetricsSocket(
      poller,
      log,
      () => this.#exposeMetrics(),
      () => this.#unready(),
    );
    if (before) this.#metrics.resume(before);
    else await this.#metrics.open(metrics);
  }

  async #exposeMetrics(): Promise<Uint8Array<ArrayBuffer>[]> {
    const { wrapperMetrics } = await import("./metrics.ts");
    return await wrapperMetrics({
      ...this.controlled,
      started: this.#started,
      upgrade: this.#upgrade,
    });
  }

  async #metricsText(): Promise<Reply> {
    const { textOf } = await import("../control/exposition.ts");
    return { result: textOf(await this.#exposeMetrics()), fds: [] };
  }

  #describe(): object {
    const { reloads, service, sockets, supervisor } = this.controlled;
    return {
      role: "wrapper",
      version: VERSION,
      pid: Deno.pid,
      uptimeSeconds: Math.round((Date.now() - this.#started) / 1000),
      service,
      binder: sockets.binder,
      sockets: sockets.served.map(({ param }) => ({ address: joinParts(param) })),
      generations: supervisor.snapshot().generations.map((one) => ({
        ...one,
        ageSeconds: ageOf(one.pid),
        // Those of the generation that serves change all the time; for them there are the server's own statistics.
        ...(one.state === "draining" && { connections: clientConnections(one.pid) ?? null }),
      })),
      lastReload: reloads.last,
      ...this.#upgrade.describe(),
    };
  }

  #handOver(): { state: string; keep: Fd[] } {
    const { binderUid, counters, reloads, sockets, supervisor } = this.controlled;
    if (supervisor.ending) throw new UserError("the wrapper is stopping");
    const connections = this.#server?.clients.handedOver() ?? [];
    const socket = this.#socket;
    const metrics = this.#metrics?.state;
    const outputs = this.controlled.outputs();
    const state: WrapperState = {
      role: "wrapper",
      version: WRAPPER_STATE_VERSION,
      pid: Deno.pid,
      generations: supervisor.snapshot(),
      sockets: sockets.served.map(({ param, fd }) => ({ param, fd: fd.number })),
      binder: sockets.binder?.sock ?? null,
      ...(binderUid !== undefined && { binderUid }),
      control: socket ? { ...socket, fd: socket.fd.number } : null,
      clients: connections.map(connectionState),
      lastReload: reloads.last,
      outputs: outputs.map(({ pid, fd }) => ({ pid, fd: fd.number })),
      counters: counters.state,
      ...(metrics && { metrics }),
      ...this.controlled.handOver(),
      upgrades: this.#upgrade.count + 1,
      started: this.#started,
      from: VERSION,
    };
    const own = [socket?.fd, this.#metrics?.fd].filter((fd) => fd !== undefined);
    const keep = [
      ...own,
      ...connections.map(({ fd }) => fd),
      ...outputs.map(({ fd }) => fd),
      ...sockets.served.map(({ fd }) => fd),
    ];
    return { state: JSON.stringify(state), keep };
  }
}

function insistOnTrust({ peer }: Caller): void {
  if (isTrusted(peer)) return;
  throw new RpcError(RPC.notPermitted, `Not permitted: uid ${peer.uid} may only ask for status`);
}

function isTrusted({ uid }: Peer): boolean {
  return uid === 0 || uid === effectiveUid();
}
