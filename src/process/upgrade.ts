/** The upgrade in place of a role: checked, patient with requests in progress, reported. */

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
  /** Whether something is under way that cannot be handed over. */
  busy: () => boolean;
  /** Milliseconds to wait for the end of that. */
  patience: number;
  /** Whether what is under way then must go on: the upgrade fails. Otherwise it is given up. */
  givesWay: boolean;
  /** The state for the successor, and the descriptors it names. */
  handOver: () => { state: string; keep: Fd[] };
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

  async #attempt(): Promise<never> {
    const { busy, children, givesWay, handOver, log, notifier, patience } = this.context;
    const to = await this.successor.check(handOver().state, children);
    const deadline = performance.now() + patience;
    // At least once: a signal that was caught already reaches its listener, and is not lost by the exec.
    do await new Promise((resolve) => setTimeout(resolve, 1)); while (
      busy() && performance.now() < deadline
    );
    if (busy() && givesWay) throw new UserError("a reload is under way; try again after it");
    log.info("upgrading", { from: VERSION, to });
    // From here to the exec nothing may wait: what is in the state must stay true.
    const { state, keep } = handOver();
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
