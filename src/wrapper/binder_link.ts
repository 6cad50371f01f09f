/** A wrapper's lasting connection to its binder: notices its death, and hands the sockets back. */

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

/** A socket that is held, with what was asked for. */
export interface HeldSocket {
  param: BindParam;
  fd: Fd;
}

/** Where a binder is. */
export interface BinderPlace {
  /** Its control socket. */
  path: string;
  /** Its user, when that is neither root nor our own. */
  uid: number | undefined;
}

/** Refusals that stay as long as the binder does: of another user, and of the original multibinder, which has no such method. */
const LASTING: readonly number[] = [RPC.notPermitted, RPC.methodNotFound];

/** Pause between two attempts to reach a binder, in milliseconds. */
const RETRY = 200;
/** The same where a binder refuses again and again; shorter than a binder waits for what is handed back. */
const MAX_RETRY = 1600;

/** See the module's description. */
export class BinderLink {
  #client: ControlClient | undefined;
  #connecting: Promise<ControlClient> | undefined;
  #closed = false;
  /** Ends the pauses under way. */
  readonly #wake = new Set<() => void>();
  /** Whether the connection is kept: a binder agrees to that for those who may hand sockets back. */
  #isKept = false;
  /** Requests under way on a connection that is not kept: the last one closes it. */
  #users = 0;
  /** The control socket of the binder that takes nothing back, by its file: the next one is asked anew. */
  #refusing: string | undefined;
  #standsBy = false;
  /** Whether that one is the original, which serves one client at a time. */
  #isOriginal = false;
  /** What the binder is to know of this wrapper, and to which connection that was told. */
  #report: WrapperReport | undefined;
  #told: { client: ControlClient; report: WrapperReport } | undefined;

  constructor(
    readonly binder: BinderPlace,
    readonly poller: Poller,
    readonly log: Log,
    /** What to hand back to a new binder; undefined for a process that will not stay. */
    readonly held: (() => readonly HeldSocket[]) | undefined,
  ) {}

  /** Whether the binder is there: a connection stands, or one that takes no sockets back answers. */
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

  /** False where the binder takes no sockets back from this user, and so keeps no connection. */
  get handsBack(): boolean {
    return this.#refusing === undefined || this.#refusing !== fileOf(this.binder.path);
  }

  /**
   * Asks the binder for sockets, after those held have been handed back to it.
   * @param wait milliseconds to wait for a binder to come up
   * @returns the caller's
   */
  async bind(params: readonly BindParam[], wait: number): Promise<Fd[]> {
    const deadline = performance.now() + wait;
    let told = false;
    for (;;) {
      let client: ControlClient | undefined;
      try {
        client = await this.#connect();
        return await this.#use(client, params);
      } catch (error) {
        if (error instanceof NoBinderError) this.#drop(client);
        // It had ended before it was asked: that says nothing of the binder that is there now.
        if (error instanceof NoBinderError && error.code === "ENOTCONN") continue;
        const isOver = this.#closed || performance.now() >= deadline;
        if (!isAbsent(error) || isOver) throw error;
        if (!told) this.log.info("waiting for the binder", { sock: this.binder.path });
        told = true;
        await this.#pause();
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

  /** Tells the binder how this wrapper does: now, and whenever it is connected again. */
  tell(report: WrapperReport): void {
    this.#report = report;
    void this.#sendReport();
  }

  async #sendReport(): Promise<void> {
    const [client, report] = [this.#client, this.#report];
    if (!client || !report || !this.#isKept) return;
    if (this.#told?.client === client && this.#told.report === report) return;
    this.#told = { client, report };
    try {
      await client.call("report", report);
    } catch (error) {
      // An older binder knows no such request; and that one is gone is noticed elsewhere.
      this.log.debug("cannot tell the binder how this wrapper does", { error: messageOf(error) });
    }
  }

  /** Connects if it can, and goes on trying if it cannot. */
  keepTrying(): void {
    if (this.held) void this.#reconnect();
  }

  /** Ends the connection for good. */
  close(): void {
    this.#closed = true;
    this.#wake.forEach((wake) => wake());
    this.#drop(this.#client);
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
        void this.#standBy();
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

  /** @returns whether the binder takes sockets back, and so keeps the connection */
  async #handBack(client: ControlClient): Promise<boolean> {
    if (!this.held) return false;
    const held = this.held();
    const binder = fileOf(this.binder.path);
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
      this.#refusing = undefined;
      return true;
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      if (!LASTING.includes(error.code)) {
        const why = `the binder at ${this.binder.path} takes no sockets back now: ${error.message}`;
        throw new NoBinderError(this.binder.path, "EAGAIN", why, error);
      }
      if (binder !== this.#refusing) {
        this.log.info("the binder takes no sockets back from this process", { why: error.message });
      }
      this.#refusing = binder;
      this.#isOriginal = error.code === RPC.methodNotFound;
      return false;
    }
  }

  /**
   * Waits until another binder has taken the place of one that refuses, and asks that one. Another file tells of
   * it; a socket of systemd's stays, and there the end of an idle connection does.
   */
  async #standBy(): Promise<void> {
    if (this.#standsBy) return;
    this.#standsBy = true;
    let mayBeAnother = false;
    let idle: ControlClient | undefined;
    try {
      idle = this.#isOriginal ? undefined : this.#dial();
      void idle?.gone().then(() => mayBeAnother = true);
    } catch (error) {
      if (!(error instanceof NoBinderError)) throw error;
      mayBeAnother = true;
    }
    let file: string | undefined;
    do {
      await this.#pause(MAX_RETRY);
      file = fileOf(this.binder.path);
    } while (
      !this.#closed && (file === undefined || file === this.#refusing && !mayBeAnother)
    );
    idle?.close();
    this.#standsBy = false;
    if (!this.#closed) await this.#reconnect();
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
    let told = "";
    let pause = RETRY;
    while (!this.#closed && !this.#client) {
      try {
        this.#dropUnkept(await this.#connect());
        return;
      } catch (error) {
        // A binder that is there and refuses is worth a line; that there is none was said.
        const why = messageOf(error);
        const refused = error instanceof NoBinderError && ["EAGAIN", "EPERM"].includes(error.code);
        const level = refused && why !== told ? "warn" : "debug";
        this.log[level]("cannot hand the sockets back yet", { why });
        if (refused) told = why;
        pause = refused ? Math.min(2 * pause, MAX_RETRY) : RETRY;
        await this.#pause(pause);
      }
    }
  }

  #pause(ms = RETRY): Promise<void> {
    if (this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#wake.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      this.#wake.add(wake);
    });
  }

  #dropUnkept(client: ControlClient): void {
    if (!this.#isKept && this.#users === 0) this.#drop(client);
  }

  #drop(client: ControlClient | undefined): void {
    if (this.#client === client) this.#client = undefined;
    client?.close();
  }
}

/** The file of a control socket, as far as it can be told from the next one there. */
function fileOf(path: string): string | undefined {
  try {
    const { dev, ino, mtime } = Deno.statSync(path);
    return `${dev}:${ino}:${mtime?.getTime()}`;
  } catch {
    return undefined;
  }
}
