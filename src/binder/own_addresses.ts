/** The addresses that the command line or the config names: the binder's own, which it holds unasked. */

import { fromCommandLine } from "../errors.ts";
import { formatAddress, resolveAddress, splitAddress } from "../sockets/address.ts";
import type { Registry } from "../sockets/registry.ts";
import { type Wanted, wantedOf } from "../sockets/wanted.ts";
import type { Policy } from "./policy.ts";

/** See the module's description. */
export class OwnAddresses {
  /** The canonical form of each, by what was written. */
  #forms: Record<string, string> = {};

  constructor(readonly registry: Registry) {}

  /** What a successor needs, which looks no name up again. */
  get state(): Record<string, string> {
    return this.#forms;
  }

  /** Goes on with those of the predecessor of this program. */
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
   * Adds addresses to the binder's own; clients may ask for them. This is called before and after they are
   * bound, since port 0 becomes another one by that.
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
