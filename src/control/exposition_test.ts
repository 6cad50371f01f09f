import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { byLabel, expose, Metric, metric, textOf } from "./exposition.ts";

Deno.test("metrics as text: each with its help and type, then its values", () => {
  const pieces = expose([
    metric("a_total", "counter", "How many", 3),
    byLabel("b", "gauge", "Of what", "state", { serving: 1, draining: 0.5 }),
    new Metric("c", "gauge", "None"),
  ]);
  assertStrictEquals(
    textOf(pieces),
    "# HELP a_total How many\n# TYPE a_total counter\na_total 3\n" +
      '# HELP b Of what\n# TYPE b gauge\nb{state="serving"} 1\nb{state="draining"} 0.5\n' +
      "# HELP c None\n# TYPE c gauge\n",
  );
});

Deno.test("whatever a label holds, it is one value of one line", () => {
  const evil = 'unix:/run/"a"\n} 1\nb\\\ud800.sock';
  const pieces = expose([byLabel("a", "gauge", "One\nline \\", "address", { [evil]: 1 })]);
  assertStrictEquals(
    textOf(pieces),
    "# HELP a One\\nline \\\\\n# TYPE a gauge\n" +
      'a{address="unix:/run/\\"a\\"\\n} 1\\nb\\\\\ufffd.sock"} 1\n',
  );
});

Deno.test("a label steers no terminal on which metrics are printed", () => {
  const address = "unix:/run/\x1b[2J\r\x9b31m\u202e.sock";
  assertStrictEquals(
    textOf(expose([byLabel("a", "gauge", "One", "address", { [address]: 1 })])),
    "# HELP a One\n# TYPE a gauge\n" +
      'a{address="unix:/run/\\\\u001b[2J\\\\r\\\\u009b31m\\\\u202e.sock"} 1\n',
  );
});

Deno.test("tens of thousands of lines come in small pieces of whole lines, and none is lost", () => {
  const values = Object.fromEntries(Array.from({ length: 50_000 }, (_, at) => [`:${at}`, at]));
  const pieces = expose([byLabel("a", "gauge", "Many", "address", values)]);
  assertEquals(textOf(pieces).split("\n").length, 50_000 + 3);
  for (const piece of pieces) {
    assert(piece.length <= 32 * 1024, `a piece has ${piece.length} bytes`);
    assertStrictEquals(piece.at(-1), "\n".charCodeAt(0));
  }
});
