import { assert, assertRejects, assertStrictEquals } from "@std/assert";
import "../../tests/support/libc.ts";
import { tempDir } from "../../tests/support/temp_dir.ts";
import { resolveAddress, splitAddress } from "../sockets/address.ts";
import { UserError } from "../errors.ts";
import { parsePatterns, Policy } from "./policy.ts";

const parse = async (text: string) => await resolveAddress(splitAddress(text));

Deno.test("a pattern allows the addresses that it names, and no others", async () => {
  const table: { pattern: string; allowed: string[]; refused: string[] }[] = [
    {
      pattern: "*",
      allowed: [":80", "[::1]:1", "*:65535", "udp::53", "unix:/run/a.sock"],
      refused: [],
    },
    {
      pattern: "*:443",
      allowed: [":443", "127.0.0.1:443", "[::]:443", "[::]:443,v4v6", "udp::443"],
      refused: [":80", ":4430", "unix:/443"],
    },
    {
      pattern: ":80",
      allowed: [":80", "0.0.0.0:80", "*:80"],
      refused: ["127.0.0.1:80", "[::]:80", "[::]:80,v4v6", "udp::80", ":81"],
    },
    {
      pattern: "[::]:80-81,v4v6",
      allowed: ["[::]:80,v4v6", "[::]:81,v4v6"],
      refused: [":80", "[::]:80", "[::]:82,v4v6", "udp:[::]:80,v4v6"],
    },
    {
      pattern: "[::]:80",
      allowed: ["[::]:80"],
      refused: ["[::]:80,v4v6"],
    },
    {
      pattern: "127.0.0.1:8000-8099",
      allowed: ["127.0.0.1:8000", "127.0.0.1:8050", "127.0.0.1:8099"],
      refused: ["127.0.0.1:7999", "127.0.0.1:8100", "127.0.0.2:8000", ":8000"],
    },
    {
      pattern: "unix:@site*",
      allowed: ["unix:@site", "unix:@site/x", "abns@site"],
      refused: ["unix:@sit", "unix:/site", ":80"],
    },
    {
      pattern: "[::1]:*",
      allowed: ["[::1]:0", "[::1]:65535", "[0::1]:80"],
      refused: ["[::]:80", "127.0.0.1:80", "udp:[::1]:80"],
    },
    {
      pattern: "[0:0::1]:80",
      allowed: ["[::1]:80"],
      refused: ["[::2]:80"],
    },
    {
      pattern: "udp:0.0.0.0:53",
      allowed: ["udp::53"],
      refused: [":53", "udp:127.0.0.1:53"],
    },
    {
      pattern: "unix:/run/site/*",
      allowed: ["unix:/run/site/a", "unix:/run/site/b/c"],
      refused: ["unix:/run/site", "unix:/run/sites/a", ":80"],
    },
    {
      pattern: "unix:/run/a.sock",
      allowed: ["unix:/run/a.sock"],
      refused: ["unix:/run/a.sock2", "unix:/run/b.sock"],
    },
  ];
  for (const { pattern, allowed, refused } of table) {
    const policy = new Policy(await parsePatterns([pattern]));
    for (const text of allowed) assert(policy.allows(await parse(text)), `${pattern} and ${text}`);
    for (const text of refused) {
      assert(!policy.allows(await parse(text)), `${pattern}, not ${text}`);
    }
  }
});

Deno.test("nothing is allowed unless it is said", async () => {
  const policy = new Policy(await parsePatterns([]));
  for (const text of [":80", "unix:/run/a.sock"]) assert(!policy.allows(await parse(text)));
  policy.allowAddress(await parse("[0:0::1]:80"));
  policy.allowAddress(await parse("unix:/run/a.sock"));
  for (const text of ["[::1]:80", "unix:/run/a.sock"]) assert(policy.allows(await parse(text)));
  for (const text of ["[::1]:81", "unix:/run/a"]) assert(!policy.allows(await parse(text)));
});

Deno.test("several patterns allow what any of them does", async () => {
  const policy = new Policy(await parsePatterns([":80", "unix:/a/*", "[::]:1-2"]));
  for (const text of [":80", "unix:/a/b", "[::]:2"]) assert(policy.allows(await parse(text)));
  for (const text of [":81", "unix:/b", "[::]:3"]) assert(!policy.allows(await parse(text)));
});

Deno.test("a path that climbs out of an allowed folder is no address", async () => {
  for (const path of ["/run/site/../root.sock", "/run/site/..", "/run/site/a//./../../b"]) {
    await assertRejects(() => parse(`unix:${path}`), UserError);
  }
  const policy = new Policy(await parsePatterns(["unix:/run/site/*"]));
  assert(policy.allows(await parse("unix:/run/./site//a")));
});

Deno.test("a link below an allowed folder leads to nothing that is not allowed, one to it does", async () => {
  using dir = tempDir();
  for (const name of ["site", "site/a", "other"]) Deno.mkdirSync(dir.file(name));
  Deno.symlinkSync("../other", dir.file("site/out"));
  Deno.symlinkSync("a", dir.file("site/in"));
  Deno.symlinkSync("site", dir.file("link"));
  const table: [pattern: string, path: string, allowed: boolean][] = [
    ["site/*", "site/a.sock", true],
    ["site/*", "site/a/b.sock", true],
    ["site/*", "site/in/b.sock", true],
    ["site/*", "site/out/b.sock", false],
    ["site/*", "site/out", true],
    ["site/*", "site/missing/b.sock", true],
    ["site/o*", "site/out/b.sock", false],
    ["site/*", "link/b.sock", false],
    ["link/*", "link/b.sock", true],
    ["link/*", "link/a/b.sock", true],
    ["link/*", "link/out/b.sock", false],
    ["*", "site/out/b.sock", true],
  ];
  for (const [pattern, path, allowed] of table) {
    const policy = new Policy(await parsePatterns([`unix:${dir.file(pattern)}`]));
    assertStrictEquals(
      policy.allows(await parse(`unix:${dir.file(path)}`)),
      allowed,
      `${pattern} ${path}`,
    );
  }
});

Deno.test("a malformed pattern is refused", async () => {
  const malformed = [
    "",
    "80",
    "a",
    ":",
    ":x",
    ":80-",
    ":-80",
    ":90-80",
    ":80-65536",
    ":65536",
    ":80,90",
    ":80 ",
    "127.0.0.1",
    "127.0.0.*:80",
    "300.1.1.1:80",
    "[::1:80",
    "unix:run/*",
    "unix:",
    "udp:*",
    "\n:80",
    "*:*:80",
  ];
  for (const pattern of malformed) {
    await assertRejects(
      () => parsePatterns([":1", pattern]),
      UserError,
      undefined,
      JSON.stringify(pattern),
    );
  }
});
