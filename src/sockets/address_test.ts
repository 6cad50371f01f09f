import { assert, assertEquals, assertMatch, assertRejects, assertStrictEquals } from "@std/assert";
import fc from "fast-check";
import "../../tests/support/libc.ts";
import { formatHost, MAX_UNIX_PATH } from "../../ffi/sockaddr.ts";
import { type Address, formatAddress, parsePort, resolveAddress } from "./address.ts";
import { splitAddress, toParts } from "./address.ts";
import { UserError } from "../errors.ts";
import { overlap } from "./wanted.ts";

const parse = async (text: string) => await resolveAddress(splitAddress(text));

const hosts = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 4 })
    .map((bytes) => ({ host: formatHost("inet", bytes), family: "inet" as const })),
  fc.uint8Array({ minLength: 16, maxLength: 16 })
    .map((bytes) => ({ host: formatHost("inet6", bytes), family: "inet6" as const })),
  fc.constant({ host: "*", family: "dual" as const }),
);
const internet = fc.record({
  transport: fc.constantFrom("tcp" as const, "udp" as const),
  host: hosts,
  port: fc.integer({ min: 0, max: 65535 }),
}).map(({ transport, host, port }): Address => ({ transport, ...host, port }));
const unix = fc.string({ unit: "grapheme", maxLength: 100 })
  .map((rest) => `/${rest.replaceAll(/[\0/]|^\.\.?$/g, "")}`)
  .filter((path) => new TextEncoder().encode(path).length <= MAX_UNIX_PATH)
  .map((path): Address => ({ transport: "unix", path }));
const abstract = fc.tuple(fc.string({ unit: "grapheme", minLength: 1 }), fc.boolean())
  .map(([name, padded]): Address => {
    const path = `@${name.replaceAll("\0", "0")}`;
    return { transport: "unix", path, ...(padded && { padded: true }) };
  });
const addresses = fc.oneof(internet, unix, abstract);

/** Text of the characters that addresses are made of; no letters, or it would be looked up. */
const nearAddresses = fc.tuple(
  fc.constantFrom("", "udp:", "unix:", "unix:/"),
  fc.string({ unit: fc.constantFrom(..."0123456789.:[]*/%\0 ") }),
).map((parts) => parts.join(""));

Deno.test("what an address is written as means that address", async () => {
  await fc.assert(fc.asyncProperty(addresses, async (address) => {
    assertEquals(await parse(formatAddress(address)), address);
    assertEquals(await resolveAddress(toParts(address)), address);
  }));
});

Deno.test("any text is an address, whose canonical text stays as it is, or malformed", async () => {
  await fc.assert(
    fc.asyncProperty(nearAddresses, async (text) => {
      let address: Address;
      try {
        address = await parse(text);
      } catch (error) {
        assert(error instanceof UserError, String(error));
        return;
      }
      assertEquals(await parse(formatAddress(address)), address);
    }),
    { numRuns: 1000 },
  );
});

Deno.test("any text at all is split or malformed", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    try {
      const { address, port } = splitAddress(text);
      if (port === undefined) assertStrictEquals(address, text);
      else assert(text.startsWith(`${address}:`));
    } catch (error) {
      assert(error instanceof UserError);
    }
  }));
});

Deno.test("addresses have one canonical form", async () => {
  const spellings: [written: string, canonical: string][] = [
    [":80", "0.0.0.0:80"],
    ["0.0.0.0:80", "0.0.0.0:80"],
    ["127.0.0.1:080", "127.0.0.1:80"],
    ["*:443", "0.0.0.0:443"],
    ["[::]:443,v4v6", "[::]:443,v4v6"],
    ["::0:443, v4v6", "[::]:443,v4v6"],
    ["[::1]:443,v6only,backlog=9", "[::1]:443"],
    ["[::]:80", "[::]:80"],
    ["[0:0::0001]:80", "[::1]:80"],
    ["::1:80", "[::1]:80"],
    ["[2001:DB8::A]:80", "[2001:db8::a]:80"],
    ["[::1%1]:80", "[::1%1]:80"],
    ["udp:0.0.0.0:443", "udp:0.0.0.0:443"],
    ["udp::443", "udp:0.0.0.0:443"],
    ["udp:*:443", "udp:0.0.0.0:443"],
    ["udp:[::]:443,v4v6", "udp:[::]:443,v4v6"],
    ["udp:[::1]:0", "udp:[::1]:0"],
    ["unix:/run/a:80", "unix:/run/a:80"],
    ["unix://run/./a//b/././c", "unix:/run/a/b/c"],
    ["unix:/run/.a/..b", "unix:/run/.a/..b"],
    ["unix:@site/a:80", "unix:@site/a:80"],
    ["abns@site", "abns@site"],
  ];
  for (const [written, canonical] of spellings) {
    assertStrictEquals(formatAddress(await parse(written)), canonical, written);
  }
});

Deno.test("two addresses overlap when one process alone can listen on either", async () => {
  const table: [one: string, other: string, overlaps: boolean][] = [
    [":80", "127.0.0.1:80", true],
    [":80", ":81", false],
    [":80", "udp::80", false],
    [":80", "[::]:80", false],
    ["127.0.0.1:80", "127.0.0.2:80", false],
    ["127.0.0.1:80", "[::1]:80", false],
    ["[::]:80", "[::1]:80", true],
    ["[::1]:80", "[::2]:80", false],
    ["*:80", ":80", true],
    ["*:80", "[::]:80", false],
    ["[::]:80,v4v6", ":80", true],
    ["[::]:80,v4v6", "[::]:80", true],
    ["[::]:80,v4v6", "[::1]:80", true],
    ["[::]:80,v4v6", "[::]:80,v4v6", true],
    ["[::]:80,v4v6", "[::]:81,v4v6", false],
    ["unix:/a", "unix:/a", true],
    ["unix:/a", "unix:/b", false],
    ["unix:/a", ":80", false],
    ["unix:@a", "unix:@a", true],
    ["unix:@a", "abns@a", false],
  ];
  for (const [one, other, overlaps] of table) {
    assertStrictEquals(overlap(await parse(one), await parse(other)), overlaps, `${one} ${other}`);
    assertStrictEquals(overlap(await parse(other), await parse(one)), overlaps, `${other} ${one}`);
  }
});

Deno.test("a malformed address is refused with a reason", async () => {
  const malformed: [written: string, reason: RegExp][] = [
    // What is left of `:80, backlog=9` and `:80 backlog=9` in a shell.
    ["", /HOST:PORT.*; options follow it after a comma, without a space/],
    ["backlog=9", /HOST:PORT.*; options follow it after a comma, without a space/],
    ["80", /did you mean ":80"\?/],
    ["localhost", /\[::1\]:80$/],
    [":", /HOST:PORT/],
    [":65536", /HOST:PORT/],
    [":-1", /HOST:PORT/],
    [":8 0", /HOST:PORT/],
    [":+80", /HOST:PORT/],
    ["300.0.0.1:80", /"300.0.0.1" is not an IPv4 address/],
    ["127.1:80", /is not an IPv4 address/],
    ["[::1:80", /neither an IP address nor a host name/],
    ["[::g]:80", /neither an IP address nor a host name/],
    ["[127.0.0.1]:80", /neither an IP address nor a host name/],
    ["a b:80", /neither an IP address nor a host name/],
    ["-a:80", /neither an IP address nor a host name/],
    ["tcp://a:80", /neither an IP address nor a host name/],
    ["a\0b:80", /neither an IP address nor a host name/],
    [":80,v4v6", /v4v6 goes with \[::\], as in \[::\]:80,v4v6/],
    ["[::1]:80,v4v6", /v4v6 goes with \[::\]/],
    ["127.0.0.1:80,v6only", /v6only goes with/],
    ["[::]:80,v4v6,v6only", /contrary/],
    ["[::]:80,v4v6,v4v6", /twice/],
    ["[::]:80,v4v6=1", /v4v6 takes no value, not "1"/],
    [":80,backlog", /backlog must be a whole number from 0 to/],
    [":80,backlog=-1", /not "-1"/],
    [":80,backlogs=1", /there is no option backlogs; there are backlog, /],
    ["unix:/run/a,v4v6", /v4v6 is no option of a unix socket/],
    ["unix:run/x", /absolute/],
    ["unix:", /absolute/],
    ["unix:/a\0b", /NUL/],
    ["unix:/run/site/../a", /no "\.\."/],
    ["unix:/..", /no "\.\."/],
    [`unix:/${"x".repeat(107)}`, /at most 107 bytes/],
    [`unix:/${"é".repeat(54)}`, /at most 107 bytes/],
    ["unix:@", /a name follows the @/],
    ["abns@", /a name follows the @/],
    ["unix:@a\0b", /NUL/],
    [`abns@${"x".repeat(107)}`, /at most 106 bytes/],
  ];
  for (const [written, reason] of malformed) {
    const error = await assertRejects(() => parse(written), UserError);
    assertMatch(error.message, reason);
  }
});

Deno.test("a port is a whole number from 0 to 65535, as a number or as digits", () => {
  for (const value of [0, 80, 65535, "0", "80", "65535"]) {
    assertStrictEquals(parsePort(value), Number(value));
  }
  for (const value of [-1, 65536, 1.5, NaN, "", " 80", "8e1", "0x50", "１", null, [80], true]) {
    assertStrictEquals(parsePort(value), undefined, String(value));
  }
});

Deno.test("a host name becomes its address", async () => {
  const text = formatAddress(await parse("localhost:80"));
  assert(text === "127.0.0.1:80" || text === "[::1]:80", text);
});

Deno.test("a host name that has no address is refused with the resolver's sentence", async () => {
  // A label has at most 63 characters, so that no name server is asked.
  const name = `${"x".repeat(64)}.invalid`;
  const error = await assertRejects(() => parse(`${name}:80`), UserError);
  assertMatch(error.message, /^cannot look up the host "x+\.invalid": \w/);
  await assertRejects(() => parse("[::1%nosuchinterface]:80"), UserError);
});
