/**
 * Options that follow an address after commas, named as HAProxy's bind keywords where it has one.
 *
 * | written          | means                                                                         |
 * | ---------------- | ----------------------------------------------------------------------------- |
 * | `backlog=4096`   | the length of the accept queue                                                |
 * | `v4v6`           | with `[::]`: one socket for IPv6 and IPv4                                     |
 * | `v6only`         | IPv6 alone, as without it                                                     |
 * | `interface=eth0` | only what comes in through that network interface                             |
 * | `reuseport=4`    | four sockets, among which the kernel divides the connections                  |
 * | `defer-accept`   | a connection is accepted once the client has sent something                   |
 * | `tfo`            | TCP Fast Open                                                                 |
 * | `mss=1400`       | the largest segment, in bytes                                                 |
 * | `mptcp`          | Multipath TCP                                                                 |
 * | `transparent`    | connections to addresses that are not this machine's (IP_TRANSPARENT, ip(7))  |
 * | `freebind`       | an address that this machine may have later (IP_FREEBIND)                     |
 * | `mark=7`         | a mark on every packet (SO_MARK, socket(7))                                   |
 * | `mode=660`       | permission bits of a UNIX socket's file, in octal                             |
 * | `user`, `group`  | whose that file is, by name or number                                         |
 * @module
 */

import { UserError } from "../errors.ts";

/** The largest backlog that listen(2) takes: an int. */
export const MAX_BACKLOG = 2 ** 31 - 1;

/** What an option is set to. */
export type OptionValue = true | number | string;

/** The name of an option. */
export type OptionName = keyof typeof OPTIONS;

/** Options of one socket. What is not named is as the kernel has it, or as it was on a socket that is held. */
export type SocketOptions = { readonly [Name in OptionName]?: OptionValue };

interface Kind {
  /** The transports whose sockets have it. */
  on: readonly string[];
  /** What must stand for its value, for errors. */
  takes: string;
  /** The value of what was written or sent; undefined for what cannot be one. */
  read: (given: unknown) => OptionValue | undefined;
}

const IP = ["tcp", "udp"];

/** Sockets of one address at most. */
const MAX_SHARES = 256;

/**
 * Options with which a client who is not trusted could do harm: take an address that belongs to somebody else,
 * get round the firewall or the routes, or have a privileged binder give files away.
 */
export const RESTRICTED: readonly OptionName[] = [
  "interface",
  "transparent",
  "freebind",
  "mark",
  "user",
  "group",
];

const OPTIONS = {
  backlog: { on: ["tcp", "unix"], ...whole(0, MAX_BACKLOG) },
  v4v6: { on: IP, ...flag() },
  v6only: { on: IP, ...flag() },
  interface: { on: IP, ...text(/^[^\s/:,]{1,15}$/, "the name of a network interface") },
  reuseport: { on: IP, takes: `must be a number of sockets from 2 to ${MAX_SHARES}`, read: shares },
  "defer-accept": { on: ["tcp"], ...flag() },
  tfo: { on: ["tcp"], ...flag() },
  mss: { on: ["tcp"], ...whole(88, 32767) },
  mptcp: { on: ["tcp"], ...flag() },
  transparent: { on: IP, ...flag() },
  freebind: { on: IP, ...flag() },
  mark: { on: IP, ...whole(1, 2 ** 32 - 1) },
  mode: { on: ["unix"], ...text(/^0?[0-7]{1,3}$/, "permission bits in octal, as in '660'") },
  user: { on: ["unix"], ...text(/^[^\s:,]+$/, "a user's name or number") },
  group: { on: ["unix"], ...text(/^[^\s:,]+$/, "a group's name or number") },
} as const satisfies Record<string, Kind>;

/**
 * Understands options.
 * @param given by name: what is written in a text after `=`, true without it; or values of JSON, of which
 *   false, null and undefined ask for nothing
 * @throws {UserError} for one that does not exist, or a value that cannot be
 */
export function readOptions(given: Readonly<Record<string, unknown>>): SocketOptions {
  const options: Partial<Record<OptionName, OptionValue>> = {};
  for (const [name, value] of Object.entries(given)) {
    if (!isOptionName(name)) {
      const known = Object.keys(OPTIONS).join(", ");
      throw new UserError(`there is no option ${name}; there are ${known}`);
    }
    if (value === false || value === null || value === undefined) continue;
    const { read, takes }: Kind = OPTIONS[name];
    const found = read(value);
    if (found === undefined) throw new UserError(`${name} ${takes}, not ${JSON.stringify(value)}`);
    options[name] = found;
  }
  return options;
}

/**
 * Makes sure that sockets of a transport have the given options.
 * @throws {UserError} naming one that they do not have
 */
export function insistOnOptions(options: SocketOptions, transport: string): void {
  for (const name of Object.keys(options) as OptionName[]) {
    const { on }: Kind = OPTIONS[name];
    if (!on.includes(transport)) {
      throw new UserError(`${name} is no option of a ${transport} socket`);
    }
  }
}

/**
 * Makes sure that a text is an option, with a value or without.
 * @returns the text
 * @throws {UserError} when there is none such, or it cannot have that value
 */
export function readOption(item: string): string {
  const [, name = "", equals, value = ""] = /^([^=]*)(?:(=)(.*))?$/s.exec(item) ?? [];
  readOptions({ [name]: equals === undefined ? true : value });
  return item;
}

/** The text of each socket that a text stands for: `reuseport=2` stands for `reuseport=1/2` and `reuseport=2/2`. */
export function expandShares(text: string): string[] {
  const [all = "", count] = /,\s*reuseport=(\d+)(?=,|$)/.exec(text) ?? [];
  if (count === undefined) return [text];
  return Array.from(
    { length: Number(count) },
    (_, index) => text.replace(all, `,reuseport=${index + 1}/${count}`),
  );
}

/** Whether what stands after a comma has the form of an option, and not that of an address. */
export function looksLikeOption(item: string): boolean {
  return /^[a-z][a-z0-9-]*(=|$)/.test(item);
}

/**
 * Splits the options off that follow an address in a text.
 * @returns the address as written, and what follows it
 * @throws {UserError} for an option with a value that cannot be, or named twice
 */
export function splitOptions(text: string): { address: string; options: SocketOptions } {
  let given: Record<string, string | true> = {};
  let address = text;
  for (;;) {
    const comma = address.lastIndexOf(",");
    const item = address.slice(comma + 1).trim();
    const [, name = "", equals, value = ""] = /^([a-z0-9-]+)(?:(=)(.*))?$/s.exec(item) ?? [];
    // A path may have commas of its own.
    if (comma < 0 || !isOptionName(name)) return { address, options: readOptions(given) };
    if (Object.hasOwn(given, name)) throw new UserError(`${name} stands twice in "${text}"`);
    given = { [name]: equals === undefined ? true : value, ...given };
    address = address.slice(0, comma);
  }
}

/** Options as they follow an address in a text: each after a comma. */
export function formatOptions(options: SocketOptions): string {
  return Object.entries(options)
    .map(([name, value]) => value === true ? `,${name}` : `,${name}=${value}`).join("");
}

function isOptionName(name: string): name is OptionName {
  return Object.hasOwn(OPTIONS, name);
}

function flag(): Omit<Kind, "on"> {
  return { takes: "takes no value", read: (given) => given === true ? true : undefined };
}

function text(pattern: RegExp, what: string): Omit<Kind, "on"> {
  return {
    takes: `must be ${what}`,
    read: (given) => typeof given === "string" && pattern.test(given) ? given : undefined,
  };
}

/** A number of sockets, or one of them: `1/4`. */
function shares(given: unknown): OptionValue | undefined {
  const [, number, of] = /^(?:(\d{1,3})\/)?(\d{1,3})$/.exec(String(given)) ?? [];
  const isCount = 2 <= Number(of) && Number(of) <= MAX_SHARES;
  if (!isCount || given === true) return undefined;
  if (number === undefined) return Number(of);
  return 1 <= Number(number) && Number(number) <= Number(of)
    ? `${Number(number)}/${Number(of)}`
    : undefined;
}

function whole(least: number, most: number): Omit<Kind, "on"> {
  return {
    takes: `must be a whole number from ${least} to ${most}`,
    read(given) {
      const isText = typeof given === "string" && /^(\d+|0x[0-9a-f]+)$/i.test(given);
      const value = isText ? Number(given) : given;
      const isWhole = typeof value === "number" && Number.isInteger(value);
      return isWhole && least <= value && value <= most ? value : undefined;
    },
  };
}
