import { assertEquals } from "@std/assert";
import { escapeControls } from "./escape.ts";

Deno.test("what steers a terminal, ends a line or turns the direction is escaped", () => {
  assertEquals(
    escapeControls("a\nb\r\t\x00\x1b[31m\x7f\x9b"),
    "a\\nb\\r\\t\\u0000\\u001b[31m\\u007f\\u009b",
  );
  assertEquals(
    escapeControls("\u2028\u2029\u202e\u2066\u200f\u061c"),
    "\\u2028\\u2029\\u202e\\u2066\\u200f\\u061c",
  );
});

Deno.test("any other text stays as it is", () => {
  for (const text of ["", "/run/a b.sock", 'grüße, "quoted" \\n 日本 👍']) {
    assertEquals(escapeControls(text), text);
  }
});
