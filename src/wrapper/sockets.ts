/** The listening sockets of a wrapper: from a binder, or its own when there is none. */

import type { Fd } from "../../ffi/fd.ts";
import type { BindParam } from "../control/messages.ts";
import type { WrapperReport } from "../control/reports.ts";

/** A socket that is held, with what was asked for. */
export interface HeldSocket {
  param: BindParam;
  fd: Fd;
}

/**
 * The sockets of the config that is served, and those of the config that is to replace it. They are held for as long as
 * that config is served: the server can be started again with them even while the binder is away.
 */
export interface Sockets {
  /**
   * The binder's control socket, and whether the binder is there; `handsBack` is false where it takes no sockets back
   * from this user. Null without a binder.
   */
  readonly binder: { sock: string; connected: boolean; handsBack?: false } | null;
  /** The sockets of the config that is served. */
  readonly served: readonly HeldSocket[];
  /**
   * Gets the sockets for a new config, all or none.
   * @returns one a param, in their order, to be lent to children; they stay this object's
   */
  prepare(params: readonly BindParam[]): Promise<Fd[]>;
  /** The new config is served: gives up the sockets that only the one before it named. */
  commit(): void;
  /** The new config failed: gives up the sockets that only it named. */
  rollback(): void;
  /** Takes over sockets that an earlier program served with. */
  restore(sockets: readonly HeldSocket[]): Promise<void>;
  /** Sends the binder, if there is one, a report of this wrapper. */
  tell(report: WrapperReport): void;
  /** The server is about to be told to stop: gives up the sockets from which nobody else accepts. */
  stop(): void;
  /** Gives up all of them. The servers have copies of their own. */
  close(): void;
}

/** Where sockets come from. */
export interface SocketsOptions {
  /** The binder's control socket, if one was named; null for no binder at all. */
  sock: string | null | undefined;
  /** The binder's user, when that is neither root nor our own. */
  binderUid?: number | undefined;
  /** Milliseconds to wait for that binder. */
  wait: number;
  /** Whether this process stays, and hands its sockets back to the next binder should this one die; a check ends. */
  longLived: boolean;
}
