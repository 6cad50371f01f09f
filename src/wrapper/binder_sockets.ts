/** The listening sockets of a wrapper that has them from a binder. */

import type { Fd } from "../../ffi/fd.ts";
import type { Poller } from "../../ffi/poll.ts";
import { NoBinderError, RefusedError } from "../control/client_errors.ts";
import type { BindParam } from "../control/messages.ts";
import type { WrapperReport } from "../control/reports.ts";
import type { Log } from "../log.ts";
import { formatAddress, joinParts, numericAddress } from "../sockets/address.ts";
import { BinderLink } from "./binder_link.ts";
import type { HeldSocket, Sockets, SocketsOptions } from "./sockets.ts";

type SocketMap = ReadonlyMap<string, HeldSocket>;

/** Sockets of a binder. It is asked anew for each config, since it may hold others after a restart. */
export class BinderSockets implements Sockets {
  /** By address as the config has it. */
  #served: SocketMap = new Map();
  #candidate: SocketMap = new Map();
  readonly #wait: number;
  readonly #link: BinderLink;

  constructor(readonly sock: string, options: SocketsOptions, poller: Poller, readonly log: Log) {
    this.#wait = options.wait;
    const held = options.longLived ? () => this.served : undefined;
    this.#link = new BinderLink({ path: sock, uid: options.binderUid }, poller, log, held);
  }

  get binder(): { sock: string; connected: boolean; handsBack?: false } {
    const { connected, handsBack } = this.#link;
    return { sock: this.sock, connected, ...!handsBack && { handsBack } };
  }

  get served(): HeldSocket[] {
    return [...this.#served.values()];
  }

  async prepare(params: readonly BindParam[]): Promise<Fd[]> {
    // One address named twice is asked for once: the server gets two descriptors of the one socket.
    const keyed = params.map((param) => ({ key: keyOf(param), param }));
    const unique = new Map<string, BindParam>();
    for (const { key, param } of keyed) {
      const other = unique.get(key);
      const longer = !other || (param.backlog ?? 0) > (other.backlog ?? 0) ? param : other;
      const options = { ...other?.options, ...param.options };
      unique.set(key, Object.keys(options).length > 0 ? { ...longer, options } : longer);
    }
    try {
      // At the first start a binder that is not there yet is waited for. A reload can do without one: this process
      // holds the sockets of the config that is served.
      const wait = this.#served.size === 0 ? this.#wait : 0;
      this.#candidate = await this.#ask(unique, wait);
    } catch (error) {
      if (!(error instanceof NoBinderError || error instanceof RefusedError)) throw error;
      // The held sockets do not have the options that the config asks for.
      const isOfOptions = ["EBUSY", "EPERM", "ENOPROTOOPT"].includes(codeOf(error));
      if (error instanceof RefusedError && isOfOptions) throw error;
      // Held sockets need no binder. From a binder that is there, the rest can still be had.
      const unknown = new Map([...unique].filter(([key]) => !this.#served.has(key)));
      const asksTheRest = error instanceof RefusedError && unknown.size < unique.size;
      if (unknown.size > 0 && !asksTheRest) throw error;
      const rest: SocketMap = unknown.size > 0 ? await this.#ask(unknown, 0) : new Map();
      this.log.warn("going on with the sockets held so far", { reason: error.message });
      const held = [...this.#served].filter(([key]) => unique.has(key));
      this.#candidate = new Map([...held, ...rest]);
    }
    return keyed.flatMap(({ key }) => this.#candidate.get(key)?.fd ?? []);
  }

  /** Asks the binder for sockets, all or none. */
  async #ask(wanted: ReadonlyMap<string, BindParam>, wait: number): Promise<SocketMap> {
    const fds = await this.#link.bind([...wanted.values()], wait);
    return new Map(
      [...wanted].flatMap(([key, param], index) => {
        const fd = fds[index];
        return fd ? [[key, { param, fd }]] : [];
      }),
    );
  }

  commit(): void {
    const before = this.#served;
    this.#served = this.#candidate;
    this.#candidate = new Map();
    closeAllBut(before, this.#served);
    void this.#link.refresh();
  }

  rollback(): void {
    closeAllBut(this.#candidate, this.#served);
    this.#candidate = new Map();
  }

  restore(sockets: readonly HeldSocket[]): Promise<void> {
    this.#served = byKey(sockets);
    this.#link.keepTrying();
    return Promise.resolve();
  }

  tell(report: WrapperReport): void {
    this.#link.tell(report);
  }

  /** The binder's sockets stay: another server may accept from them. */
  stop(): void {}

  close(): void {
    this.#link.close();
    this.rollback();
    closeAllBut(this.#served, new Map());
  }
}

function codeOf(error: NoBinderError | RefusedError): string {
  return error instanceof RefusedError ? error.data?.code ?? "" : error.code;
}

/** One key for one address, however it is written; for a host name the name, which the binder looks up. */
function keyOf(param: BindParam): string {
  const address = numericAddress(param);
  return address === undefined ? joinParts(param) : formatAddress(address);
}

function byKey(sockets: readonly HeldSocket[]): SocketMap {
  return new Map(sockets.map((socket) => [keyOf(socket.param), socket]));
}

function closeAllBut(sockets: SocketMap, kept: SocketMap): void {
  const spared = new Set([...kept.values()].map(({ fd }) => fd));
  sockets.forEach(({ fd }) => spared.has(fd) || fd.close());
}
