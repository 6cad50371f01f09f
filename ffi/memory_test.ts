import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { addressOf, cString, StringArray, Struct } from "./memory.ts";

Deno.test("a C string ends in the only NUL it has", () => {
  assertEquals(cString("é"), new Uint8Array([0xc3, 0xa9, 0]));
  assertThrows(() => cString("a\0b"), TypeError);
});

Deno.test("an array of strings is one pointer each, and NULL", () => {
  fc.assert(fc.property(fc.array(fc.string({ unit: "grapheme" })), (texts) => {
    fc.pre(texts.every((text) => !text.includes("\0")));
    const { pointers } = new StringArray(texts);
    const read = [...pointers].map((value) => {
      const pointer = Deno.UnsafePointer.create(value);
      return pointer === null ? null : Deno.UnsafePointerView.getCString(pointer);
    });
    assertEquals(read, [...texts, null]);
  }));
});

Deno.test("a struct's fields are little-endian and do not touch each other", () => {
  const struct = new Struct(24);
  struct.setI16(2, -2).setI32(4, -3).setU64(8, 2n ** 64n - 5n);
  assertEquals(struct.bytes.slice(0, 8), new Uint8Array([0, 0, 254, 255, 253, 255, 255, 255]));
  assertStrictEquals(struct.i16(2), -2);
  assertStrictEquals(struct.i32(4), -3);
  assertStrictEquals(struct.u32(4), 2 ** 32 - 3);
  assertStrictEquals(struct.u64(8), 2n ** 64n - 5n);
  assertThrows(() => struct.setU64(20, 0), RangeError);
});

Deno.test("a pointer in a struct is a buffer's address, or NULL", () => {
  const buffer = new Uint8Array([7, 8]);
  const struct = new Struct(8).setPointer(0, buffer);
  assertStrictEquals(struct.u64(0), addressOf(buffer));
  assertStrictEquals(addressOf(buffer.subarray(1)), addressOf(buffer) + 1n);
  assertStrictEquals(struct.setPointer(0, null).u64(0), 0n);
});
