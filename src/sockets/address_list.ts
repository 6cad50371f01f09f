/**
 * Addresses as they stand in a `bind` line of HAProxy (its configuration manual, section 11.1): several
 * with commas between them, a range of ports, and a family or a kind of socket before an `@`. What follows a
 * comma and is no address is an option of the address before it.
 *
 * | written                  | means                                            |
 * | ------------------------ | ------------------------------------------------ |
 * | `:80,:443`               | two sockets                                      |
 * | `:80,backlog=9,:443`     | the same, an option for the first of them        |
 * | `:80,reuseport=2`        | two sockets of one address                       |
 * | `:8801-8810`             | ten                                              |
 * | `ipv4@:80`, `ipv6@:80`   | `0.0.0.0:80`, `[::]:80`; `tcp4@`, `tcp6@` as well |
 * | `udp4@:53`, `udp6@:53`   | the same for UDP                                 |
 * | `/run/a`, `unix@/run/a`  | `unix:/run/a`; `uxst@` as well                   |
 * | `abns@a`, `abnsz@a`      | an abstract name, with and without padding       |
 * @module
 */

import { malformed, numericAddress, parsePort, splitAddress } from "./address.ts";
import { expandShares, looksLikeOption, readOption } from "./socket_options.ts";

/** What each prefix says: the transport, and the one family of Internet addresses that may follow. */
const PREFIXES: Record<string, { transport: string; family?: "inet" | "inet6" }> = {
  "ipv4@": { transport: "", family: "inet" },
  "ipv6@": { transport: "", family: "inet6" },
  "tcp@": { transport: "" },
  "tcp4@": { transport: "", family: "inet" },
  "tcp6@": { transport: "", family: "inet6" },
  "udp@": { transport: "udp:" },
  "udp4@": { transport: "udp:", family: "inet" },
  "udp6@": { transport: "udp:", family: "inet6" },
};

/** Prefixes for what cannot be handed over as a descriptor, and what to write instead. */
const REFUSED: Record<string, string> = {
  "fd@": "it is a descriptor already; write it as it is, without a bind call",
  "sockpair@": "it is a descriptor already; write it as it is, without a bind call",
  "quic4@":
    "a QUIC listener cannot be inherited; write it as a plain bind line, without a bind call",
  "quic6@":
    "a QUIC listener cannot be inherited; write it as a plain bind line, without a bind call",
  "uxdg@": "a UNIX datagram socket cannot be held; write it as a plain line, without a bind call",
  "rhttp@": "it listens on no address; write it as it is, without a bind call",
  "mptcp@": "write the option mptcp after the address, as in :80,mptcp",
  "mptcp4@": "write ipv4@ for mptcp4@, and the option mptcp after the address",
  "mptcp6@": "write ipv6@ for mptcp6@, and the option mptcp after the address",
};

/**
 * The addresses that a text names, in its order, each written so that `splitAddress` takes it.
 * @param options further ones for each, as `formatOptions` writes them
 * @throws {UserError} for one that is malformed, or that no listening socket can be held for
 */
export function expandAddresses(text: string, options = ""): string[] {
  const addresses: { written: string; options: string }[] = [];
  for (const item of text.split(",").map((one) => one.trim())) {
    const before = addresses.at(-1);
    if (before && looksLikeOption(item)) before.options += `,${readOption(item)}`;
    else addresses.push({ written: item, options });
  }
  return addresses.flatMap((one) =>
    expandRange(one.written, text).flatMap((each) => expandShares(each + one.options))
  );
}

/** A range of ports becomes its addresses. */
function expandRange(one: string, text: string): string[] {
  const plain = withoutPrefix(one, text);
  const range = /^(?!unix:|abns@)(.*:)(\d+)-(\d*)$/.exec(plain);
  if (range === null) {
    splitAddress(plain);
    return [plain];
  }
  const [, host = "", low, high] = range;
  const [first, last] = [parsePort(low), parsePort(high)];
  if (first === undefined || last === undefined || first === 0 || first > last) {
    throw malformed(text, `${low}-${high} is no range of ports, such as 8801-8810`);
  }
  return Array.from({ length: last - first + 1 }, (_, index) => `${host}${first + index}`);
}

function withoutPrefix(one: string, text: string): string {
  if (one.startsWith("/")) return `unix:${one}`;
  const [, prefix = "", rest = ""] = /^([a-z]+\d?@)(.*)$/s.exec(one) ?? [];
  if (prefix === "" || prefix === "abns@") return one;
  if (prefix === "abnsz@") return `unix:@${rest}`;
  if (prefix === "unix@" || prefix === "uxst@") return `unix:${rest}`;
  const why = REFUSED[prefix];
  if (why !== undefined) throw malformed(text, why);
  const meaning = PREFIXES[prefix];
  if (meaning === undefined) {
    const known = [...Object.keys(PREFIXES), "unix@", "abns@", "abnsz@"].join(" ");
    throw malformed(text, `there is no ${prefix}; these can precede an address: ${known}`);
  }
  return meaning.transport + inFamily(rest, meaning.family, prefix, text);
}

/** What follows a prefix of a family. Where it names no host, it means every address of that family. */
function inFamily(
  rest: string,
  family: "inet" | "inet6" | undefined,
  prefix: string,
  text: string,
): string {
  if (family === undefined) return rest;
  const [, host = "", ports = ""] = /^(.*):([^:]*)$/s.exec(rest) ?? [undefined, rest];
  if (host === "" || host === "*") return `${family === "inet" ? "0.0.0.0" : "[::]"}:${ports}`;
  const address = numericAddress({ address: host, port: 0 });
  if (address === undefined) {
    throw malformed(text, `a host name cannot follow ${prefix}; write its address`);
  }
  if (address.transport === "unix" || address.family !== family) {
    throw malformed(text, `${host} is no address of ${prefix}`);
  }
  return rest;
}
