/** The addresses that the command line or the config names: the binder's own, which it holds unasked. */

import { fromCommandLine } from "../errors.ts";
import { formatAddress, resolveAddress, splitAddress } from "../sockets/address.ts";
import type { Registry } from "../sockets/registry.ts";
import { type Wanted, wantedOf } from "../sockets/wanted.ts";
import type { Policy } from "./policy.ts";

/** See the module's description. */
export class OwnAddresses {
  /** As written, and what each is in its canonical form. */
  #forms: Record<string, string> = {};

  constructor(readonly registry: Registry) {}

  /** For a successor, which looks no name up again. */
  get state(): Record<string, string> {
    return this.#forms;
  }

  /** Goes on with those of an earlier program. */
  restore(state: Record<string, string>): void {
    this.#forms = state;
  }

  /** Each in its canonical form. */
  get texts(): string[] {
    return Object.values(this.#forms);
  }

  /** Those that are not held. */
  get missing(): string[] {
    return this.texts.filter((text) => !this.registry.holds(text));
  }

  /**
   * Looks their names up.
   * @param written as the command line or the config has them, one address each
   * @throws {UserError} for one that is malformed, or whose name is not known
   */
  async resolve(written: readonly string[]): Promise<Wanted[]> {
    const wanted: Wanted[] = [];
    for (const one of written) {
      const parts = fromCommandLine(() => splitAddress(this.#forms[one] ?? one));
      wanted.push(wantedOf(await fromCommandLine(() => resolveAddress(parts)), parts));
    }
    return wanted;
  }

  /**
   * Makes these the binder's own, beside those that are; clients may ask for them. Port 0 becomes another
   * once it is bound, so that this is told before and after.
   * @param written as in {@link resolve}
   * @param own what each of them is
   */
  add(written: readonly string[], own: readonly Wanted[], policy: Policy): void {
    own.forEach(({ address, former }, index) => {
      this.#forms[written[index] ?? ""] = formatAddress(address);
      policy.allowAddress(address);
      if (former) policy.allowAddress(former);
    });
  }

  /** Makes these the only ones. */
  replace(written: readonly string[], own: readonly Wanted[], policy: Policy): void {
    this.#forms = {};
    this.add(written, own, policy);
  }
}
