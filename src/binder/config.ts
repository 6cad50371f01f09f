/** The config of a running binder. A reload reads it again, and applies all of it or nothing. */

import { messageOf, UserError } from "../errors.ts";
import type { Log } from "../log.ts";
import { type Address, formatAddress } from "../sockets/address.ts";
import { expandAddresses } from "../sockets/address_list.ts";
import type { Held } from "../sockets/held.ts";
import type { Wanted } from "../sockets/wanted.ts";
import { Queue } from "../turns.ts";
import type { Access } from "./access.ts";
import { type Changes, describeChanges } from "./changes.ts";
import type { Holdings } from "./holdings.ts";
import { type BinderOptions, FIXED, lookUpNames, type Rules } from "./options.ts";
import type { OwnAddresses } from "./own_addresses.ts";
import type { Policy } from "./policy.ts";
import type { Store } from "./store.ts";

/** What the config decides on, and what it takes to apply it. */
export interface Configured {
  /** As of the start. */
  options: BinderOptions;
  /** Reads the options again; undefined when there is no config. */
  reread: (() => Promise<BinderOptions>) | undefined;
  policy: Policy;
  access: Access;
  own: OwnAddresses;
  store: Store;
  holdings: Holdings;
  /** Makes attached clients connect anew, and hand back what they hold. @returns how many there are */
  askAgain: () => number;
  /** Called when the rules for clients have been replaced. */
  changed: () => void;
  log: Log;
}

const NAMES_NOTHING =
  "it has no addresses and no allow any more, by which clients could ask for every address; write " +
  'allow = ["*"] if that is meant, else allow = []';

/** See the module's description. */
export class Config {
  /** One at a time. */
  readonly #turns = new Queue(1);

  constructor(readonly configured: Configured) {}

  /**
   * Reads the config again, and applies what has changed in it.
   * @returns what that is, in a line
   * @throws {UserError} what is wrong with it; nothing has changed then
   */
  readAgain(): Promise<string> {
    return this.#turns.run(async () => {
      const { log, reread } = this.configured;
      if (!reread) throw new UserError("this binder was started without --config");
      try {
        const outcome = describeChanges(await this.#apply(await reread()));
        log.info("read the config again", { outcome });
        return outcome;
      } catch (error) {
        log.error("cannot do as the config says, all is as before", { error: messageOf(error) });
        throw error;
      }
    });
  }

  async #apply(read: BinderOptions): Promise<Changes> {
    const { options, policy, access, own, store, changed } = this.configured;
    const fixed = Object.fromEntries(FIXED.map((name) => [name, options[name]]));
    const addresses = read.addresses.flatMap((one) => expandAddresses(one));
    const rules = await lookUpNames({ ...read, ...fixed, addresses }, store.configured);
    const opens = rules.policy.everything && !policy.rules.everything;
    // A file that is being written, or was emptied, names nothing: that alone must not let clients ask for everything.
    if (opens && !read.allow.includes("*")) throw new UserError(NAMES_NOTHING);
    const held = await this.#hold(await own.resolve(addresses), rules);
    // Nothing can fail any more.
    const before = { texts: own.texts, rules: JSON.stringify([access.rules, policy.rules]) };
    access.rules = rules.access;
    policy.replace(rules.policy);
    changed();
    own.replace(addresses, held, policy);
    store.allowConfigured(policy);
    return {
      bound: own.texts.filter((text) => !before.texts.includes(text)),
      ...this.#giveUp(before.texts.filter((text) => !own.texts.includes(text))),
      rules: JSON.stringify([access.rules, policy.rules]) !== before.rules,
      needRestart: FIXED.filter((name) => read[name] !== options[name]),
    };
  }

  /** Holds what the config names. New addresses are allowed before that, so that clients may hand them back. */
  async #hold(wanted: readonly Wanted[], rules: Rules): Promise<Held[]> {
    const { askAgain, holdings, policy } = this.configured;
    const { registry } = holdings.parts;
    const isHeld = (address: Address) => registry.holds(formatAddress(address));
    const fresh = wanted.map(({ address }) => address).filter((one) => !policy.allows(one));
    // An address that the config no longer names is held on while a wrapper uses it.
    const kept = new Set(fresh.filter(isHeld));
    for (const address of fresh) policy.allowAddress(address);
    try {
      return await holdings.holdOwn(wanted, rules.access, askAgain);
    } catch (error) {
      for (const address of fresh) {
        policy.forbidAddress(address);
        if (isHeld(address) && !kept.has(address)) holdings.giveUp(address);
      }
      throw error;
    }
  }

  /** Gives up what the config does not name any more, unless somebody would bring it back. */
  #giveUp(texts: readonly string[]): Pick<Changes, "gone" | "kept"> {
    const { holdings } = this.configured;
    const kept: Record<string, string> = {};
    for (const { address } of holdings.parts.registry.list()) {
      const text = formatAddress(address);
      if (!texts.includes(text)) continue;
      const why = holdings.keptFor(text);
      if (why === undefined) holdings.giveUp(address);
      else kept[text] = why;
    }
    return { gone: texts.filter((text) => !Object.hasOwn(kept, text)), kept };
  }
}
