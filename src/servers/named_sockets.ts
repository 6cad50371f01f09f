/**
 * Listening sockets that the command line names, for servers whose config is no template: `NAME=ADDRESS`.
 *
 * The server inherits them from descriptor 3 on, in the order of the command line, and learns of them as
 * sd_listen_fds(3) has it (LISTEN_FDS, LISTEN_FDNAMES), by a variable `FD_NAME` for each, and by `{NAME}` in
 * the words of its command, in whose place the number stands.
 * @module
 */

import { FIRST_FD } from "../../ffi/spawn.ts";
import { UserError } from "../errors.ts";
import { numericAddress, splitAddress } from "../sockets/address.ts";
import { expandAddresses } from "../sockets/address_list.ts";

/** A listening socket with a name. */
export interface NamedSocket {
  /** A letter, and up to 63 letters, digits, dashes and underscores. */
  name: string;
  /** Its address, as it was written. */
  address: string;
}

const NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;

/**
 * Reads `NAME=ADDRESS`, or an address alone, which is named after its port (`port80`, `udp443`), or after the
 * file of a UNIX socket. A range of ports, several addresses, or sockets that share one (`reuseport=2`) are
 * several sockets: `NAME-1`, `NAME-2` and so on.
 * @throws {UserError} when either is malformed
 */
export function parseNamedSockets(text: string): NamedSocket[] {
  // No address has an equals sign before its first colon, comma, slash, bracket or @.
  const [, given, written = text] = /^([^=:,/@[]*)=(.*)$/s.exec(text) ?? [];
  const addresses = expandAddresses(written);
  return addresses.map((one, index) => {
    const parts = splitAddress(one);
    // A malformed address is an error here; a host name is looked up by whoever binds it.
    numericAddress(parts);
    if (parts.port === 0) throw new UserError("port 0 is another port each time; name one");
    const only = given ?? nameOf(parts);
    const isOnly = addresses.length === 1 || (given === undefined && !one.includes(",reuseport="));
    const name = isOnly ? only : `${only}-${index + 1}`;
    if (NAME.test(name)) return { name, address: addresses.length === 1 ? written : one };
    const rule = "begins with a letter, followed by up to 63 letters, digits, - and _";
    throw new UserError(
      given === undefined
        ? `name it, as in site=${text}`
        : `the name "${name}" is none: one ${rule}`,
    );
  });
}

function nameOf({ address, port }: { address: string; port?: number }): string {
  if (port !== undefined) return `${address.startsWith("udp:") ? "udp" : "port"}${port}`;
  const file = address.slice(address.search(/[^:/@]*$/));
  return file.replace(/\.[^.]*$/, "").replaceAll(/[^A-Za-z0-9_-]/g, "-");
}

/**
 * Makes sure that no two sockets have one name, nor names that make one variable.
 * @throws {UserError} naming the two
 */
export function insistOnDistinctNames(sockets: readonly NamedSocket[]): void {
  const seen = new Map<string, NamedSocket>();
  for (const socket of sockets) {
    const other = seen.get(variableOf(socket));
    if (other !== undefined) {
      throw new UserError(
        `--listen: "${other.name}" for ${other.address} and "${socket.name}" for ${socket.address} are ` +
          "one name; give one of them another, as in other=ADDRESS",
      );
    }
    seen.set(variableOf(socket), socket);
  }
}

/** The variable that holds the number of a socket. */
export function variableOf({ name }: NamedSocket): string {
  return `FD_${name.toUpperCase().replaceAll("-", "_")}`;
}

/** What the environment tells of sockets, all but LISTEN_PID: nothing when there are none. */
export function variablesFor(sockets: readonly NamedSocket[]): Record<string, string> {
  if (sockets.length === 0) return {};
  return {
    LISTEN_FDS: String(sockets.length),
    LISTEN_FDNAMES: sockets.map(({ name }) => name).join(":"),
    ...Object.fromEntries(sockets.map((one, index) => [variableOf(one), String(FIRST_FD + index)])),
  };
}

/**
 * Puts the numbers of sockets in the place of `{NAME}` in words; `{{NAME}}` stands for `{NAME}` itself.
 * Without any name the words are left as they are.
 * @param words a command, of which the first is the program and left as it is
 * @param further names of other descriptors, with their numbers
 * @throws {UserError} for a name that no socket has
 */
export function withNumbers(
  words: readonly [string, ...string[]],
  sockets: readonly NamedSocket[],
  further: Readonly<Record<string, number>> = {},
): [string, ...string[]] {
  const [first, ...rest] = words;
  const numbers = new Map(Object.entries(further));
  sockets.forEach(({ name }, index) => numbers.set(name, FIRST_FD + index));
  if (numbers.size === 0) return [first, ...rest];
  const insert = (word: string) =>
    word.replaceAll(/\{\{([A-Za-z][\w-]*)\}\}|\{([A-Za-z][\w-]*)\}/g, (_, literal, name) => {
      if (literal !== undefined) return `{${literal}}`;
      const number = numbers.get(name);
      if (number !== undefined) return String(number);
      throw new UserError(
        `${word}: no --listen is named "${name}"; there are ${[...numbers.keys()].join(", ")} ` +
          `({{${name}}} stands for {${name}} itself)`,
      );
    });
  return [first, ...rest.map(insert)];
}
