import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { type ReloadOutcome, Reloads } from "./reloads.ts";

/** Collects outcomes as they are told, without their times. */
function listen(outcome: Promise<ReloadOutcome>, heard: string[], name: string): Promise<void> {
  return outcome.then(({ ok, message }) => void heard.push(`${name}: ${ok} ${message}`));
}

Deno.test("before the first start there is no outcome, later there is the last one", () => {
  const reloads = new Reloads();
  assertStrictEquals(reloads.last, null);
  const before = Date.now();
  reloads.finished(true, "generation 1 serves");
  reloads.finished(false, "bad config");
  const { at = "", ...rest } = reloads.last ?? {};
  assertEquals(rest, { ok: false, message: "bad config" });
  assert(before <= Date.parse(at) && Date.parse(at) <= Date.now());
});

Deno.test("who waits for a reload is told its outcome, and not that of the one before", async () => {
  const reloads = new Reloads();
  const heard: string[] = [];
  const first = listen(reloads.outcome(false), heard, "first");
  const behind = [1, 2].map((name) => listen(reloads.outcome(true), heard, `behind ${name}`));
  reloads.finished(false, "bad config");
  await first;
  assertEquals(heard, ["first: false bad config"]);
  const later = listen(reloads.outcome(false), heard, "later");
  reloads.finished(true, "generation 2 serves");
  await Promise.all([...behind, later]);
  assertEquals(heard.slice(1), [
    "behind 1: true generation 2 serves",
    "behind 2: true generation 2 serves",
    "later: true generation 2 serves",
  ]);
  reloads.finished(true, "generation 3 serves");
  assertStrictEquals(heard.length, 4, "each is told once");
});
