/** Which addresses clients may ask for. */

import { type Address, formatAddress, resolveAddress, toParts } from "../sockets/address.ts";
import { type OptionName, RESTRICTED, type SocketOptions } from "../sockets/socket_options.ts";
import { EXIT, fromCommandLine, UserError } from "../errors.ts";

/** A pattern of addresses: a host or `*`, and ports. */
interface Pattern {
  /** As in {@link formatAddress} without the port; undefined for every host. */
  host?: string;
  first: number;
  last: number;
}

/** What clients may ask for, besides addresses that are named one by one. */
export interface PolicyRules {
  everything: boolean;
  hosts: readonly Pattern[];
  /** Of UNIX sockets; with `*` at the end, what begins so. */
  paths: readonly string[];
  /** Restricted options that every client may ask for. Absent in the state of a binder that knew of none. */
  options?: readonly string[];
}

/**
 * Reads patterns: `HOST:PORTS`. HOST is an address as it is listened on, empty for 0.0.0.0, or `*` for
 * every one, IPv6 too; PORTS is a number, a range `8000-8099`, or `*`. `unix:/run/site/*` allows the paths that
 * begin so, `unix:@site*` the abstract names, and a lone `*` allows everything.
 * @throws {UserError} for a malformed one, or a host name without an address
 */
export async function parsePatterns(patterns: readonly string[]): Promise<PolicyRules> {
  const hosts: Pattern[] = [];
  const paths: string[] = [];
  for (const pattern of patterns) {
    if (pattern === "*") continue;
    if (/^unix:[/@]/.test(pattern)) paths.push(pattern.slice("unix:".length));
    else hosts.push(await parsePattern(pattern));
  }
  return { everything: patterns.includes("*"), hosts, paths };
}

/** The addresses that clients may ask for. */
export class Policy {
  readonly #exact = new Set<string>();

  constructor(public rules: PolicyRules) {}

  /** Goes by other rules from now on, and allows no address by itself any more. */
  replace(rules: PolicyRules): void {
    this.rules = rules;
    this.#exact.clear();
  }

  /** Allows one address. */
  allowAddress(address: Address): void {
    this.#exact.add(formatAddress(address));
  }

  /** Takes back that one address is allowed by itself. */
  forbidAddress(address: Address): void {
    this.#exact.delete(formatAddress(address));
  }

  /** The first of the given options for which a client who is not trusted may not ask. */
  forbidden(options: SocketOptions): OptionName | undefined {
    const allowed = this.rules.options ?? [];
    return RESTRICTED.find((name) => options[name] !== undefined && !allowed.includes(name));
  }

  /** Whether clients may ask for an address. */
  allows(address: Address): boolean {
    const { everything, hosts, paths } = this.rules;
    const text = formatAddress(address);
    if (everything || this.#exact.has(text)) return true;
    if (address.transport === "unix") {
      return paths.some((pattern) => matchesPath(pattern, address.path));
    }
    const host = hostOf(address);
    return hosts.some((pattern) =>
      (pattern.host === undefined || pattern.host === host) &&
      pattern.first <= address.port && address.port <= pattern.last
    );
  }
}

/** A pattern holds for where a path leads, too: a link below its folder could lead out of it. */
function matchesPath(pattern: string, path: string): boolean {
  if (!pattern.endsWith("*")) return path === pattern;
  const start = pattern.slice(0, -1);
  if (!path.startsWith(start)) return false;
  return path.startsWith("@") || inRealFolder(path).startsWith(inRealFolder(start));
}

/** A path with the links of its folder followed; as it is when there is no such folder, nor a socket then. */
function inRealFolder(path: string): string {
  const slash = path.lastIndexOf("/");
  try {
    const folder = Deno.realPathSync(path.slice(0, slash) || "/");
    return `${folder === "/" ? "" : folder}${path.slice(slash)}`;
  } catch {
    return path;
  }
}

async function parsePattern(text: string): Promise<Pattern> {
  const match = /^(.*):(\*|\d{1,5}|(\d{1,5})-(\d{1,5}))(,v4v6)?$/.exec(text);
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
  const options = match[5] === undefined ? {} : { v4v6: true as const };
  const parts = { address: host, port: first, options };
  return { host: hostOf(await fromCommandLine(() => resolveAddress(parts))), first, last };
}

/** An address without its port: with `,v4v6` it is another host than without. */
function hostOf(address: Address): string {
  const isDual = address.transport !== "unix" && address.family === "dual";
  return toParts(address).address + (isDual ? ",v4v6" : "");
}
