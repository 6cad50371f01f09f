import { assertEquals } from "@std/assert";
import { tableLines } from "./table.ts";

Deno.test("columns are as wide as what stands in them, and nothing is padded at the end", () => {
  assertEquals(tableLines(["A", "LONG"], [["wide", "x"], ["", ""]]), [
    "A     LONG",
    "wide  x",
    "",
  ]);
});

Deno.test("paint takes no room, and covers what is written alone", () => {
  const paint = (text: string) => `<${text}>`;
  assertEquals(
    tableLines(["A", "B"], [[{ text: "x", paint }, "y"], ["long", { text: "", paint }]]),
    [
      "A     B",
      "<x>     y",
      "long",
    ],
  );
});

Deno.test("a line that is longer than the terminal is wide is cut, and shows that it is", () => {
  const paint = (text: string) => `<${text}>`;
  const rows = [["abcdef", { text: "ghi", paint }]];
  assertEquals(tableLines(["", ""], rows, 11)[1], "abcdef  <ghi>");
  assertEquals(tableLines(["", ""], rows, 10)[1], "abcdef  <g…>");
  assertEquals(tableLines(["", ""], rows, 7)[1], "abcdef");
  assertEquals(tableLines(["", ""], rows, 5)[1], "abcd…");
  assertEquals(tableLines(["", ""], rows, 0)[1], "");
});
