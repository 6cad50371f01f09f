import { assert, assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { type Outcome, percentile, type Phase, PHASES, problems, table } from "./report.ts";

function answered(phase: Phase, version: string, client: Outcome["client"] = "new"): Outcome {
  return { client, phase, at: 0, milliseconds: 1, version };
}

/** Every version where it must be. */
const FINE = (Object.keys(PHASES) as Phase[]).flatMap((phase) =>
  PHASES[phase].versions.map((version) => answered(phase, version))
);
const STEADY = { reconnects: 0, retries: 0 };

Deno.test("a run in which every version answers where it must has no problem", () => {
  assertEquals(problems(FINE), []);
});

Deno.test("failed requests are told by client, phase and reason", () => {
  const failed = { phase: "switch", at: 0, milliseconds: 1, failure: "connection reset" } as const;
  assertEquals(
    problems([
      ...FINE,
      { ...failed, client: "new" },
      { ...failed, client: "new" },
      { ...failed, client: "keep-alive" },
    ]),
    [
      "2 requests: new connection, during the switch: connection reset",
      "1 request: keep-alive, during the switch: connection reset",
    ],
  );
});

Deno.test("a version that must answer and never does is a problem", () => {
  const silent = FINE.filter(({ phase, version }) => phase !== "switch" || version !== "V2");
  assertEquals(problems(silent), ["V2 never answered during the switch"]);
});

Deno.test("a keep-alive client does not make up for new connections", () => {
  const kept = FINE.map((outcome) =>
    outcome.phase === "after" ? answered("after", "V2", "keep-alive") : outcome
  );
  assertEquals(problems(kept), ["V2 never answered after the switch"]);
});

Deno.test("a version that answers where it is gone is a problem, on a kept connection too", () => {
  assertEquals(problems([...FINE, answered("after", "V1", "keep-alive")]), [
    "1 request: answered by V1, after the switch",
  ]);
});

Deno.test("the table counts by version, apart from what failed, within 100 columns", () => {
  const failed: Outcome = {
    client: "new",
    phase: "before",
    at: 0,
    milliseconds: 9,
    failure: "timeout",
  };
  const lines = table([...FINE, failed, answered("before", "V1", "keep-alive")], {
    reconnects: 1,
    retries: 2,
  });
  const words = (title: string) =>
    lines.filter((line) => line.startsWith(title)).map((line) => line.trim().split(/ {2,}/));
  assertEquals(words("  before"), [
    ["before the switch", "2", "1", "0", "0", "1", "1ms", "1ms"],
  ]);
  assertEquals(words("  all"), [
    ["all", "8", "2", "3", "2", "1", "1ms", "1ms"],
    ["all", "1", "1", "0", "0", "0", "1ms", "1ms"],
  ]);
  assertStrictEquals(lines.at(-1), "  1 reconnect, 2 requests sent again on a new connection");
  assert(lines.every((line) => line.length <= 100));
});

Deno.test("a table of nothing has no latency", () => {
  assertMatch(table([], STEADY).join("\n"), /before the switch +0 +0 +0 +0 +0 +- +-\n/);
});

Deno.test("percentiles are nearest ranks", () => {
  const values = Array.from({ length: 100 }, (_, index) => 100 - index);
  assertStrictEquals(percentile(values, 0.5), 50);
  assertStrictEquals(percentile(values, 0.99), 99);
  assertStrictEquals(percentile(values, 1), 100);
  assertStrictEquals(percentile([7], 0.5), 7);
  assertStrictEquals(percentile([], 0.5), undefined);
});
