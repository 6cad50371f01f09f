import { assertEquals, assertStrictEquals } from "@std/assert";
import { expose, textOf } from "../control/exposition.ts";
import { Counters } from "./counters.ts";
import type { Action, Event } from "./events.ts";
import { Histogram } from "./histogram.ts";

/** The lines of values that begin so. */
function lines(counters: Counters, start: string): string[] {
  const text = textOf(expose(counters.metrics()));
  return text.split("\n").filter((line) => line.startsWith(start));
}

const reload: Event = { type: "reload" };
const outcome = (ok: boolean): Action => ({ do: "outcome", ok, message: "", isFirst: false });

Deno.test("reloads are counted by their outcome, and timed from their begin", () => {
  const counters = new Counters();
  counters.follow(reload, [{ do: "prepare", isFirst: false }], 1000);
  counters.follow(reload, [outcome(true)], 1400);
  counters.follow(reload, [{ do: "prepare", isFirst: false }], 5000);
  counters.follow(reload, [outcome(false)], 6000);
  assertEquals(lines(counters, "multibinder_reloads_total"), [
    'multibinder_reloads_total{outcome="success"} 1',
    'multibinder_reloads_total{outcome="failure"} 1',
  ]);
  assertEquals(lines(counters, "multibinder_config_last"), [
    "multibinder_config_last_reload_success_timestamp_seconds 1.4",
  ]);
  assertEquals(lines(counters, "multibinder_reload_duration_seconds").slice(1, 4), [
    'multibinder_reload_duration_seconds_bucket{le="0.25"} 0',
    'multibinder_reload_duration_seconds_bucket{le="0.5"} 1',
    'multibinder_reload_duration_seconds_bucket{le="1"} 2',
  ]);
  assertEquals(lines(counters, "multibinder_reload_duration_seconds").slice(-3), [
    'multibinder_reload_duration_seconds_bucket{le="+Inf"} 2',
    "multibinder_reload_duration_seconds_sum 1.4",
    "multibinder_reload_duration_seconds_count 2",
  ]);
});

Deno.test("a drain is from the soft stop to the end; a hard stop cuts it, and is none by itself", () => {
  const counters = new Counters();
  const signal = (pid: number, kind: "soft" | "hard"): Action => ({ do: "signal", pid, kind });
  const exited = (pid: number): Event => ({ type: "exited", pid, status: { code: 0 } });
  counters.follow(reload, [signal(1, "soft"), signal(2, "soft")], 0);
  counters.follow(reload, [signal(3, "hard")], 1000);
  counters.follow(reload, [signal(2, "hard")], 2000);
  for (const pid of [1, 2, 3]) counters.follow(exited(pid), [], 3000);
  const about = "multibinder_drain_duration_seconds_";
  assertEquals(lines(counters, `${about}sum`), [`${about}sum 6`]);
  assertEquals(lines(counters, `${about}count`), [`${about}count 2`]);
  assertEquals(lines(counters, "multibinder_drains_cut"), ["multibinder_drains_cut_total 1"]);
});

Deno.test("a successor goes on counting, the drains under way included", () => {
  const before = new Counters();
  before.follow(reload, [{ do: "prepare", isFirst: false }, outcome(true)], 1000);
  before.follow(reload, [{ do: "signal", pid: 1, kind: "soft" }], 1000);
  const after = new Counters();
  after.resume(JSON.parse(JSON.stringify(before.state)));
  assertEquals(after.state, before.state);
  after.follow({ type: "exited", pid: 1, status: { code: 0 } }, [], 3000);
  const about = "multibinder_drain_duration_seconds_sum";
  assertEquals(lines(after, about), [`${about} 2`]);
});

Deno.test("a histogram of other bounds is not gone on with", () => {
  const histogram = new Histogram([1, 2]);
  histogram.add(1);
  histogram.resume({ counts: [1, 2], sum: 3 });
  assertEquals(histogram.state, { counts: [1, 0, 0], sum: 1 });
  assertStrictEquals(/a_count 1\n$/.test(textOf(expose([histogram.metric("a", "b")]))), true);
});
