/** The upgrade in place of a role: it is checked first, waits for what is under way, and is reported. */

import type { Fd } from "../../ffi/fd.ts";
import type { Children } from "./children.ts";
import { messageOf, UserError } from "../errors.ts";
import { type Log, stackOf } from "../log.ts";
import { RPC, RpcError } from "../control/messages.ts";
import type { Notifier } from "../systemd/notify.ts";
import { becomeSuccessor, checkSuccessor } from "./successor.ts";
import { VERSION } from "../version.ts";

/** What an upgrade needs of the role. */
export interface UpgradeContext {
  log: Log;
  children: Children;
  notifier: Notifier;
  /** Resolves at the end of something that is under way and cannot be handed over; undefined when nothing is. */
  underWay: () => Promise<unknown> | undefined;
  /** Milliseconds to wait for that end. */
  patience: number;
  /** Whether the upgrade fails when something is still under way then; otherwise that is broken off. */
  givesWay: boolean;
  /** Gives the state for the successor, and the descriptors that it names. */
  handOver: () => { state: string; keep: Fd[] };
  /** Called when this program is about to be replaced, with the descriptors that are kept. */
  letGo?: (keep: readonly Fd[]) => void;
}

/** How an upgrade went. */
export interface UpgradeOutcome {
  at: string;
  ok: boolean;
  from: string;
  to?: string;
  message: string;
}

/** Upgrades one at a time, and remembers how the last one went. */
export class Upgrade {
  /** Upgrades since the first start. */
  count = 0;
  #last: UpgradeOutcome | undefined;
  #underWay = false;

  /** @param successor the program on disk */
  constructor(
    readonly context: UpgradeContext,
    readonly successor: { check: typeof checkSuccessor; become: typeof becomeSuccessor } = {
      check: checkSuccessor,
      become: becomeSuccessor,
    },
  ) {}

  /** Notes that this program is the successor. @returns the outcome */
  succeeded(from: string, count: number): UpgradeOutcome {
    this.count = count;
    this.context.log.info("upgraded", { from, to: VERSION, upgrades: count });
    const message = `upgraded from ${from} to ${VERSION}`;
    return this.#last = { at: new Date().toISOString(), ok: true, from, to: VERSION, message };
  }

  /** For `status`. */
  describe(): { upgrades: number; lastUpgrade: UpgradeOutcome | null } {
    return { upgrades: this.count, lastUpgrade: this.#last ?? null };
  }

  /**
   * Becomes the program on disk.
   * @throws {RpcError} when that fails; everything goes on as before
   */
  async request(): Promise<never> {
    if (this.#underWay) throw new RpcError(RPC.failed, "an upgrade is under way already");
    this.#underWay = true;
    try {
      return await this.#attempt();
    } catch (error) {
      const { log } = this.context;
      const message = messageOf(error);
      log.error("upgrade failed, the old version goes on", { error: message });
      log.debug("upgrade failed", { stack: stackOf(error) });
      this.#last = { at: new Date().toISOString(), ok: false, from: VERSION, message };
      throw new RpcError(RPC.failed, `upgrade failed, ${VERSION} goes on: ${message}`);
    } finally {
      this.#underWay = false;
    }
  }

  /** Waits until nothing is under way. @returns false when something still is after all that time */
  async #quiet(): Promise<boolean> {
    const { patience, underWay } = this.context;
    let isLate = false;
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(() => resolve(void (isLate = true)), patience);
    do {
      await Promise.race([underWay(), late]);
      // In a turn of the event loop, a signal that was caught already reaches its listener, and is not lost by
      // the execve. What it begins is waited for as well.
      await new Promise((resolve) => setTimeout(resolve, 1));
    } while (underWay() && !isLate);
    clearTimeout(timer);
    return !underWay();
  }

  async #attempt(): Promise<never> {
    const { children, givesWay, handOver, letGo, log, notifier } = this.context;
    const to = await this.successor.check(handOver().state, children);
    if (!await this.#quiet() && givesWay) {
      throw new UserError("a reload is under way; try again after it");
    }
    log.info("upgrading", { from: VERSION, to });
    // From here to the execve nothing may be awaited: what the state says must stay true.
    const { state, keep } = handOver();
    letGo?.(keep);
    // The successor says that it is ready.
    notifier.reloading();
    try {
      return this.successor.become(state, keep, [
        "SIGUSR1",
        "SIGUSR2",
        "SIGTERM",
        "SIGINT",
        "SIGHUP",
        "SIGCHLD",
      ]);
    } finally {
      notifier.ready();
    }
  }
}
