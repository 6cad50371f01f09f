/**
 * A wrapper's connection to its binder. It stays open for as long as both live: so the wrapper notices the binder's
 * death, and hands the sockets back to the next binder.
 * @module
 */

import type { Fd } from "../../ffi/fd.ts";
import type { Poller } from "../../ffi/poll.ts";
import { ControlClient } from "../control/client.ts";
import { isAbsent, NoBinderError, RefusedError } from "../control/client_errors.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { type BindParam, RPC } from "../control/messages.ts";
import { PEERS } from "../control/expected_peer.ts";
import type { WrapperReport } from "../control/reports.ts";
import { joinParts } from "../sockets/address.ts";
import type { HeldSocket } from "./sockets.ts";
import { MAX_RETRY, pause, StandBy } from "./stand_by.ts";

/** Where a binder is. */
export interface BinderPlace {
  /** Its control socket. */
  path: string;
  /** Its user, when that is neither root nor our own. */
  uid: number | undefined;
}

/**
 * Refusals to take sockets back that stay as long as the binder does: of a binder that does not trust this user, and of
 * the original multibinder, which has no such method.
 */
const FINAL: readonly number[] = [RPC.notPermitted, RPC.methodNotFound];

/** Pause between two attempts to reach a binder, in milliseconds; it doubles where the binder refuses. */
const RETRY = 200;

/** See the module's description. */
export class BinderLink {
  #client: ControlClient | undefined;
  #connecting: Promise<ControlClient> | undefined;
  readonly #closing = new AbortController();
  readonly #standBy: StandBy;
  /** Whether the connection is kept: a binder keeps one with those whose sockets it would take back. */
  #isKept = false;
  /** Requests under way on a connection that is not kept: the last one closes it. */
  #users = 0;
  /** What the binder is to know of this wrapper, and what was sent last, on which connection. */
  #report: WrapperReport | undefined;
  #sent: { client: ControlClient; report: WrapperReport } | undefined;

  constructor(
    readonly binder: BinderPlace,
    readonly poller: Poller,
    readonly log: Log,
    /** What to hand back to a new binder; undefined for a process that will not stay. */
    readonly held: (() => readonly HeldSocket[]) | undefined,
  ) {
    this.#standBy = new StandBy(binder.path, () => this.#dial(), this.#closing.signal);
  }

  /** Whether the binder is there: the connection is open, or a binder that takes no sockets back answers. */
  get connected(): boolean {
    if (this.#client !== undefined) return true;
    try {
      if (this.handsBack) return false;
      this.#dial().close();
      return true;
    } catch (error) {
      if (error instanceof NoBinderError) return false;
      throw error;
    }
  }

  /** Whether the binder takes sockets back from this user; if not, it keeps no connection either. */
  get handsBack(): boolean {
    return !this.#standBy.refuses;
  }

  /**
   * Asks the binder for sockets, once it has got back those that are held.
   * @param wait milliseconds to wait for a binder to come up
   * @returns the sockets, which are the caller's
   */
  async bind(params: readonly BindParam[], wait: number): Promise<Fd[]> {
    const deadline = performance.now() + wait;
    let isWaiting = false;
    for (;;) {
      let client: ControlClient | undefined;
      try {
        client = await this.#connect();
        return await this.#use(client, params);
      } catch (error) {
        if (error instanceof NoBinderError) this.#drop(client);
        // The connection had ended before the request: that says nothing of the binder that is there now.
        if (error instanceof NoBinderError && error.code === "ENOTCONN") continue;
        const isOver = this.#closed || performance.now() >= deadline;
        if (!isAbsent(error) || isOver) throw error;
        if (!isWaiting) this.log.info("waiting for the binder", { sock: this.binder.path });
        isWaiting = true;
        await pause(RETRY, this.#closing.signal);
      }
    }
  }

  async #use(client: ControlClient, params: readonly BindParam[]): Promise<Fd[]> {
    this.#users++;
    try {
      return await client.bind(params);
    } finally {
      this.#users--;
      this.#dropUnkept(client);
    }
  }

  /** Tells the binder which sockets are held now. */
  async refresh(): Promise<void> {
    try {
      if (this.#client && this.#isKept) await this.#handBack(this.#client);
    } catch (error) {
      this.log.debug("cannot tell the binder what is held", { error: messageOf(error) });
    }
  }

  /** Sends the binder a report of this wrapper: now, and whenever it is connected again. */
  tell(report: WrapperReport): void {
    this.#report = report;
    void this.#sendReport();
  }

  async #sendReport(): Promise<void> {
    const [client, report] = [this.#client, this.#report];
    if (!client || !report || !this.#isKept) return;
    if (this.#sent?.client === client && this.#sent.report === report) return;
    this.#sent = { client, report };
    try {
      await client.call("report", report);
    } catch (error) {
      // An older binder does not know the request; the death of a binder is noticed elsewhere.
      this.log.debug("cannot tell the binder how this wrapper does", { error: messageOf(error) });
    }
  }

  /** Connects if it can, and goes on trying if it cannot. */
  keepTrying(): void {
    if (this.held) void this.#reconnect();
  }

  /** Ends the connection for good. */
  close(): void {
    this.#closing.abort();
    this.#drop(this.#client);
  }

  get #closed(): boolean {
    return this.#closing.signal.aborted;
  }

  #connect(): Promise<ControlClient> {
    if (this.#client) return Promise.resolve(this.#client);
    this.#connecting ??= this.#open().finally(() => this.#connecting = undefined);
    return this.#connecting;
  }

  #dial(): ControlClient {
    const { path, uid } = this.binder;
    return ControlClient.connect(path, this.poller, undefined, { ...PEERS.binder, uid });
  }

  async #open(): Promise<ControlClient> {
    let client = this.#dial();
    try {
      this.#isKept = await this.#handBack(client);
      if (this.held && !this.#isKept) {
        // The binder may have closed the connection with its refusal.
        client.close();
        client = this.#dial();
        void this.#askNext();
      }
      if (this.#closed) throw new Error("this process is ending");
    } catch (error) {
      client.close();
      throw error;
    }
    this.#client = client;
    void this.#watch(client);
    void this.#sendReport();
    return client;
  }

  /**
   * Hands the sockets back that are held.
   * @returns whether the binder takes sockets back, and so keeps the connection
   * @throws {NoBinderError} with EAGAIN when it refuses for now
   */
  async #handBack(client: ControlClient): Promise<boolean> {
    if (!this.held) return false;
    const held = this.held();
    const file = this.#standBy.file();
    try {
      const outcomes = await client.adopt(held.map(({ param }) => param), held.map(({ fd }) => fd));
      outcomes.forEach((outcome, index) => {
        const socket = held[index];
        const address = socket && joinParts(socket.param);
        if (outcome === "adopted") this.log.info("handed back to the binder", { address });
        else if (outcome !== "held") {
          this.log.warn("the binder does not take a socket back", { address, outcome });
        }
      });
      this.#standBy.accepted();
      return true;
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      if (!FINAL.includes(error.code)) {
        const why = `the binder at ${this.binder.path} takes no sockets back now: ${error.message}`;
        throw new NoBinderError(this.binder.path, "EAGAIN", why, error);
      }
      if (this.#standBy.refused(file, error.code === RPC.methodNotFound)) {
        this.log.info("the binder takes no sockets back from this process", { why: error.message });
      }
      return false;
    }
  }

  /** Asks the next binder, once it has taken the place of the one that refuses. */
  async #askNext(): Promise<void> {
    if (await this.#standBy.replaced()) await this.#reconnect();
  }

  async #watch(client: ControlClient): Promise<void> {
    await client.gone();
    this.#drop(client);
    if (this.#closed || this.#client || !this.#isKept) return;
    this.log.warn("the binder is gone; its sockets are kept for the next one", {
      sock: this.binder.path,
    });
    await this.#reconnect();
  }

  async #reconnect(): Promise<void> {
    let lastWarning = "";
    let ms = RETRY;
    while (!this.#closed && !this.#client) {
      try {
        this.#dropUnkept(await this.#connect());
        return;
      } catch (error) {
        // That no binder is there was logged when it went. One that is there and refuses is worth a line.
        const why = messageOf(error);
        const refused = error instanceof NoBinderError && ["EAGAIN", "EPERM"].includes(error.code);
        const level = refused && why !== lastWarning ? "warn" : "debug";
        this.log[level]("cannot hand the sockets back yet", { why });
        if (refused) lastWarning = why;
        ms = refused ? Math.min(2 * ms, MAX_RETRY) : RETRY;
        await pause(ms, this.#closing.signal);
      }
    }
  }

  #dropUnkept(client: ControlClient): void {
    if (!this.#isKept && this.#users === 0) this.#drop(client);
  }

  #drop(client: ControlClient | undefined): void {
    if (this.#client === client) this.#client = undefined;
    client?.close();
  }
}
