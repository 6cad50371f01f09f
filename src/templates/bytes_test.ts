import { assertEquals, assertStrictEquals } from "@std/assert";
import fc from "fast-check";
import { run } from "../../tests/support/templates.ts";
import { decode, encode } from "./bytes.ts";

/** Bytes that are likely to be UTF-8, nearly UTF-8, or something else. */
const anyBytes = fc.array(fc.oneof(
  fc.string({ unit: "binary" }).map((text) => [...new TextEncoder().encode(text)]),
  fc.array(fc.integer({ min: 0, max: 255 })),
  fc.constantFrom([0xc3], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xc0, 0x80], [
    0xef,
    0xbb,
    0xbf,
  ]),
)).map((parts) => Uint8Array.from(parts.flat()));

Deno.test("any bytes come back as they were", () => {
  fc.assert(fc.property(anyBytes, (bytes) => assertEquals(encode(decode(bytes)), bytes)));
});

Deno.test("UTF-8 is read as UTF-8, between bytes that are none too", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    const bytes = new TextEncoder().encode(text);
    assertStrictEquals(decode(bytes), text);
    assertStrictEquals(decode(Uint8Array.of(...bytes, 0xff)), `${text}\udcff`);
  }));
});

Deno.test("a byte that is no UTF-8 is kept in text, in comments and in the strings of tags", () => {
  const latin1 = (text: string) => Uint8Array.from(text, (each) => each.charCodeAt(0));
  const template =
    "# B\xfcro \xfc\xdf\r\n<%# gr\xfc\xdfe %><%= 'M\xfcnchen' + `\xdf` %> <%= ENV['X'] %>\n";
  const { text } = run(decode(latin1(template)), { X: "é" });
  assertEquals(encode(text), latin1("# B\xfcro \xfc\xdf\r\nM\xfcnchen\xdf \xc3\xa9\n"));
});
