import {
  assert,
  assertEquals,
  assertMatch,
  assertObjectMatch,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import fc from "fast-check";
import "../tests/support/libc.ts";
import {
  decodeAddress,
  encodeAddress,
  formatHost,
  lookup,
  MAX_UNIX_PATH,
  parseHost,
  type SocketAddress,
} from "./sockaddr.ts";

const port = fc.integer({ min: 0, max: 65535 });

function assertRoundTrip(address: SocketAddress): void {
  assertEquals(decodeAddress(encodeAddress(address)), address);
}

Deno.test("an IPv4 address survives the round trip", () => {
  fc.assert(fc.property(fc.ipV4(), port, (host, port) => {
    assertRoundTrip({ family: "inet", host, port });
  }));
});

Deno.test("an IPv6 address survives the round trip, in its canonical text", () => {
  const scope = fc.integer({ min: 0, max: 2 ** 32 - 1 });
  fc.assert(fc.property(fc.ipV6(), port, scope, (text, port, scope) => {
    const decoded = decodeAddress(encodeAddress({ family: "inet6", host: text, port, scope }));
    assert(decoded?.family === "inet6");
    assertStrictEquals(decoded.port, port);
    assertStrictEquals(decoded.scope, scope);
    assertEquals(parseHost("inet6", decoded.host), parseHost("inet6", text));
    assertRoundTrip(decoded);
  }));
});

Deno.test("the bytes of a host survive the round trip", () => {
  for (const [family, length] of [["inet", 4], ["inet6", 16]] as const) {
    const bytes = fc.uint8Array({ minLength: length, maxLength: length });
    fc.assert(fc.property(bytes, (bytes) => {
      const host = new Uint8Array(bytes);
      assertEquals(parseHost(family, formatHost(family, host)), host);
    }));
  }
});

Deno.test("an IPv6 address has one text, that of RFC 5952", () => {
  const canonical = (text: string) => {
    const address = decodeAddress(
      encodeAddress({ family: "inet6", host: text, port: 1, scope: 0 }),
    );
    return address?.family === "inet6" ? address.host : undefined;
  };
  assertStrictEquals(canonical("2001:0DB8:0:0:0:0:0:1"), "2001:db8::1");
  assertStrictEquals(canonical("0::0"), "::");
  assertStrictEquals(canonical("::FFFF:127.0.0.1"), "::ffff:127.0.0.1");
});

Deno.test("the bytes are those of the kernel", () => {
  assertEquals(
    encodeAddress({ family: "inet", host: "192.0.2.1", port: 0x1234 }),
    new Uint8Array([2, 0, 0x12, 0x34, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
  );
  assertEquals(
    encodeAddress({ family: "unix", path: "/a" }),
    new Uint8Array([1, 0, 0x2f, 0x61, 0]),
  );
  // An abstract name ends with the length, not with a NUL.
  assertEquals(
    encodeAddress({ family: "unix", path: "\0a" }),
    new Uint8Array([1, 0, 0, 0x61]),
  );
});

Deno.test("a UNIX path survives the round trip", () => {
  const name = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 })
    .filter((text) => !text.includes("\0") && new TextEncoder().encode(text).length < 106);
  fc.assert(fc.property(name, (name) => {
    assertRoundTrip({ family: "unix", path: name });
    assertRoundTrip({ family: "unix", path: `\0${name}` });
  }));
});

Deno.test("a UNIX path has at most 107 bytes, an abstract name 107 after its NUL", () => {
  assertStrictEquals(MAX_UNIX_PATH, 107);
  for (const path of ["x".repeat(107), "\0" + "x".repeat(107), "ü".repeat(53) + "x"]) {
    assertRoundTrip({ family: "unix", path });
    const room = path.startsWith("\0") ? 108 : 107;
    assertObjectMatch(
      assertThrows(() => encodeAddress({ family: "unix", path: path + "x" }), RangeError),
      { message: `path of ${room + 1} bytes, at most ${room} fit` },
    );
  }
});

Deno.test("a path that the kernel would read as another one is refused", () => {
  for (const path of ["", "/a\0b", "/a\0"]) {
    assertThrows(() => encodeAddress({ family: "unix", path }), RangeError);
  }
});

Deno.test("what the kernel says of a socket without a name is an empty path", () => {
  assertEquals(decodeAddress(new Uint8Array([1, 0])), { family: "unix", path: "" });
});

Deno.test("a family other than ours is none", () => {
  assertStrictEquals(
    decodeAddress(new Uint8Array([16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
    undefined,
  );
});

Deno.test("a host that is no numeric address is refused", () => {
  const bad = {
    inet: ["", "localhost", "127.1", "1.2.3.256", "::1", " 127.0.0.1", "127.0.0.1\0", "0x7f.0.0.1"],
    inet6: ["", "localhost", "127.0.0.1", "[::1]", ":::", "::1%lo", "::1\0", "1:2:3:4:5:6:7:8:9"],
  };
  for (const host of bad.inet) {
    assertStrictEquals(parseHost("inet", host), undefined);
    assertThrows(() => encodeAddress({ family: "inet", host, port: 1 }), RangeError);
  }
  for (const host of bad.inet6) {
    assertStrictEquals(parseHost("inet6", host), undefined);
    assertThrows(() => encodeAddress({ family: "inet6", host, port: 1, scope: 0 }), RangeError);
  }
});

Deno.test("a port that does not fit is refused", () => {
  for (const port of [-1, 65536, 1.5, NaN]) {
    assertThrows(() => encodeAddress({ family: "inet", host: "127.0.0.1", port }), RangeError);
  }
});

Deno.test("localhost is this machine", async () => {
  const address = await lookup("localhost", 80);
  assertMatch(address.host, /^(127\.0\.0\.1|::1)$/);
  assertStrictEquals(address.port, 80);
});

Deno.test("a numeric address is its own name", async () => {
  assertEquals(await lookup("192.0.2.1", 8080), {
    family: "inet",
    host: "192.0.2.1",
    port: 8080,
  });
  assertEquals(await lookup("2001:DB8::1", 0), {
    family: "inet6",
    host: "2001:db8::1",
    port: 0,
    scope: 0,
  });
});

Deno.test("a scope is an interface, by name or number", async () => {
  const index = Number(Deno.readTextFileSync("/sys/class/net/lo/ifindex"));
  const expected = { family: "inet6", host: "fe80::1", port: 80, scope: index } as const;
  assertEquals(await lookup("fe80::1%lo", 80), expected);
  assertEquals(await lookup(`fe80::1%${index}`, 80), expected);
  await assertRejects(() => lookup("fe80::1%no-such-one", 80), Error, /not known/);
});

Deno.test("a name that does not exist is an error in the resolver's words", async () => {
  // Without a name server the sentence is another one.
  await assertRejects(
    () => lookup("no-such-host.invalid", 80),
    Error,
    /not known|failure in name resolution|No address/,
  );
  await assertRejects(() => lookup("a\0b", 80), TypeError);
});

Deno.test("lookups at once do not mix", async () => {
  const hosts = Array.from({ length: 64 }, (_, index) => `127.0.${index}.1`);
  const found = await Promise.all(hosts.map((host, index) => lookup(host, index)));
  assertEquals(found, hosts.map((host, port) => ({ family: "inet", host, port })));
});
