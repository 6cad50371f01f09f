import { assertEquals, assertThrows } from "@std/assert";
import { UserError } from "../errors.ts";
import { duration, fileMode, wholeNumber } from "./values.ts";

function refused(read: (text: string) => unknown, texts: readonly string[], why: string): void {
  for (const text of texts) assertThrows(() => read(text), UserError, why, `"${text}"`);
}

Deno.test("durations have a unit, or are seconds", () => {
  const read = { "500ms": 500, "10s": 10_000, "5m": 300_000, "1h": 3_600_000, "7": 7000 };
  for (const [text, value] of Object.entries(read)) assertEquals(duration(text), value);
  assertEquals(["1.5s", "0.5", "0", "0ms"].map(duration), [1500, 500, 0, 0]);
  assertEquals(duration(`${2 ** 31 - 1}ms`), 2 ** 31 - 1, "the longest that a timer takes");
  const wrong = ["", "s", "-1s", "1 s", "1d", "1S", "1e3", "1.", ".5s", "0x10", " 1", "600h", "∞"];
  refused(duration, [...wrong, `${2 ** 31}ms`], "must be a duration such as 500ms");
});

Deno.test("whole numbers have a least value", () => {
  assertEquals(["0", "7", "2147483647"].map(wholeNumber(0)), [0, 7, 2147483647]);
  const wrong = ["", "-1", "1.5", "1e3", "0x10", " 1", "x", "2147483648"];
  refused(wholeNumber(0), wrong, "whole number, at least 0");
  refused(wholeNumber(2), ["1", "0"], "at least 2");
});

Deno.test("permission bits are octal, with a leading zero or without", () => {
  assertEquals(["660", "0660", "000", "0777"].map(fileMode), [0o660, 0o660, 0, 0o777]);
  refused(fileMode, ["", "66", "0o660", "888", "1660", "00660", "rw-"], "in octal, such as 0660");
});
