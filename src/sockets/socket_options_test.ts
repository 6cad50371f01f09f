import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { UserError } from "../errors.ts";
import { expandShares, formatOptions, readOptions, splitOptions } from "./socket_options.ts";

Deno.test("options are what follows an address after commas, and are written back so", () => {
  const texts = [
    ":80",
    ":80,backlog=4096,v4v6",
    ":80,mss=1400,defer-accept,tfo,mptcp,mark=7,transparent,freebind",
    ":80,interface=eth0.7,reuseport=4",
    ":80,reuseport=3/4",
    "unix:/run/a,b,mode=0660,user=www-data,group=33",
  ];
  for (const text of texts) {
    const { address, options } = splitOptions(text);
    assertStrictEquals(address, text.startsWith("unix:") ? "unix:/run/a,b" : ":80");
    assertStrictEquals(address + formatOptions(options), text);
    assertEquals(readOptions(options), options, "they are themselves as values of JSON");
  }
});

Deno.test("what is false, null or undefined is not asked for", () => {
  assertEquals(readOptions({ tfo: false, mss: null, mark: undefined }), {});
  assertEquals(readOptions({ mss: "1400", mark: "0x10" }), { mss: 1400, mark: 16 });
});

Deno.test("an option that does not exist, or a value that it cannot have, is refused", () => {
  const table: [given: Record<string, unknown>, why: RegExp][] = [
    [{ constructor: true }, /no option constructor; there are backlog, v4v6/],
    [{ tfo: 1 }, /tfo takes no value/],
    [{ mss: 87 }, /mss must be a whole number from 88 to 32767, not 87/],
    [{ mss: true }, /mss must be/],
    [{ mark: -1 }, /mark must be/],
    [{ mark: 2 ** 32 }, /mark must be/],
    [{ reuseport: 1 }, /from 2 to 256/],
    [{ reuseport: 257 }, /from 2 to 256/],
    [{ reuseport: "5/4" }, /from 2 to 256/],
    [{ reuseport: "0/4" }, /from 2 to 256/],
    [{ reuseport: true }, /from 2 to 256/],
    [{ interface: "" }, /interface must be the name/],
    [{ interface: "sixteen-letters-" }, /interface must be the name/],
    [{ interface: "a,b" }, /interface must be the name/],
    [{ mode: 432 }, /mode must be permission bits in octal/],
    [{ mode: "999" }, /mode must be/],
    [{ user: "" }, /user must be/],
  ];
  for (const [given, why] of table) {
    assertThrows(() => readOptions(given), UserError, why.source.replaceAll("\\", "").slice(0, 5));
    const error = assertThrows(() => readOptions(given), UserError);
    assertStrictEquals(why.test(error.message), true, error.message);
  }
});

Deno.test("sockets that share an address are named one by one", () => {
  assertEquals(expandShares(":80,reuseport=2,tfo"), [
    ":80,reuseport=1/2,tfo",
    ":80,reuseport=2/2,tfo",
  ]);
  assertEquals(expandShares(":80,reuseport=1/2"), [":80,reuseport=1/2"]);
  assertEquals(expandShares("unix:/reuseport=2"), ["unix:/reuseport=2"]);
});
