/** Which addresses clients may ask for. */

import { type Address, formatAddress, resolveAddress } from "../address.ts";
import { EXIT, fromCommandLine, UserError } from "../errors.ts";

/** A pattern of addresses: a host or `*`, and ports. */
interface Pattern {
  /** As in {@link formatAddress} before the port; undefined for every host. */
  host?: string;
  first: number;
  last: number;
}

/**
 * The addresses that clients may ask for.
 *
 * Patterns are `HOST:PORTS`. HOST is an address as it is listened on, empty for 0.0.0.0, or `*` for
 * every one; PORTS is a number, a range `8000-8099`, or `*`. `unix:/run/site/*` allows the paths that
 * begin so, and a lone `*` allows everything.
 */
export class Policy {
  readonly #patterns: Pattern[] = [];
  readonly #paths: string[] = [];
  readonly #exact = new Set<string>();
  #everything = false;

  /**
   * @param patterns what to allow besides {@link allowAddress}
   * @throws {UserError} for a malformed one
   */
  static async parse(patterns: readonly string[]): Promise<Policy> {
    const policy = new Policy();
    for (const pattern of patterns) await policy.#add(pattern);
    return policy;
  }

  /** Allows one address. */
  allowAddress(address: Address): void {
    this.#exact.add(formatAddress(address));
  }

  allows(address: Address): boolean {
    const text = formatAddress(address);
    if (this.#everything || this.#exact.has(text)) return true;
    if (address.transport === "unix") {
      return this.#paths.some((path) =>
        path.endsWith("*") ? address.path.startsWith(path.slice(0, -1)) : address.path === path
      );
    }
    const host = text.slice(0, text.lastIndexOf(":"));
    return this.#patterns.some((pattern) =>
      (pattern.host === undefined || pattern.host === host) &&
      pattern.first <= address.port && address.port <= pattern.last
    );
  }

  async #add(pattern: string): Promise<void> {
    if (pattern === "*") {
      this.#everything = true;
    } else if (pattern.startsWith("unix:/")) {
      this.#paths.push(pattern.slice("unix:".length));
    } else {
      this.#patterns.push(await parsePattern(pattern));
    }
  }
}

async function parsePattern(text: string): Promise<Pattern> {
  const match = /^(.*):(\*|\d{1,5}|(\d{1,5})-(\d{1,5}))$/.exec(text);
  const [, host = "", ports = ""] = match ?? [];
  const first = ports === "*" ? 0 : Number(match?.[3] ?? ports);
  const last = ports === "*" ? 65535 : Number(match?.[4] ?? ports);
  if (match === null || first > last || last > 65535) {
    throw new UserError(
      `malformed pattern "${text}": a pattern is HOST:PORTS, such as 127.0.0.1:8000-8099 or *:443`,
      { exitCode: EXIT.usage },
    );
  }
  if (host === "*") return { first, last };
  const parts = { address: host, port: first };
  const address = formatAddress(await fromCommandLine(() => resolveAddress(parts)));
  return { host: address.slice(0, address.lastIndexOf(":")), first, last };
}
