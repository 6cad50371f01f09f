import { assertStrictEquals } from "@std/assert";
import { byLabel, expose, metric } from "./exposition.ts";

Deno.test("metrics as text: each with its help and type, then its values", async () => {
  const text = await expose([
    metric("a_total", "counter", "How many", 3),
    byLabel("b", "gauge", "Of what", "state", { serving: 1, draining: 0.5 }),
    { name: "c", type: "gauge", help: "None", samples: [] },
  ]);
  assertStrictEquals(
    text,
    "# HELP a_total How many\n# TYPE a_total counter\na_total 3\n" +
      '# HELP b Of what\n# TYPE b gauge\nb{state="serving"} 1\nb{state="draining"} 0.5\n' +
      "# HELP c None\n# TYPE c gauge\n",
  );
});

Deno.test("whatever a label holds, it is one value of one line", async () => {
  const evil = 'unix:/run/"a"\n} 1\nb\\\ud800.sock';
  const text = await expose([byLabel("a", "gauge", "One\nline \\", "address", { [evil]: 1 })]);
  assertStrictEquals(
    text,
    "# HELP a One\\nline \\\\\n# TYPE a gauge\n" +
      'a{address="unix:/run/\\"a\\"\\n} 1\\nb\\\\\ufffd.sock"} 1\n',
  );
});

Deno.test("tens of thousands of lines are made in pieces, and none is lost", async () => {
  const values = Object.fromEntries(Array.from({ length: 50_000 }, (_, at) => [`:${at}`, at]));
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  const text = await expose([byLabel("a", "gauge", "Many", "address", values)]);
  clearInterval(timer);
  assertStrictEquals(text.split("\n").length, 50_000 + 3);
  assertStrictEquals(turns > 0, true, "others had their turn meanwhile");
});
