import { assertEquals } from "@std/assert";
import { Nagging } from "./nagging.ts";

const SECOND = 1000;
const HOUR = 3600 * SECOND;

Deno.test("what stays wrong is warned of at growing intervals, in the end every hour", () => {
  const nagging = new Nagging();
  const told: number[] = [];
  for (let now = SECOND; now <= 6 * HOUR; now += SECOND) {
    if (nagging.raise(now, "it is so")) told.push(now / SECOND);
  }
  assertEquals(told, [1, 11, 31, 71, 151, 311, 631, 1271, 2551, 5111, 8711, 12311, 15911, 19511]);
  assertEquals([nagging.isOn, nagging.since], [true, SECOND]);
});

Deno.test("its end is said if there was a warning, and what soon comes back is the same story", () => {
  const nagging = new Nagging();
  assertEquals(nagging.settle(), false);
  assertEquals(nagging.raise(1, "a"), true);
  assertEquals(nagging.settle(), true);
  assertEquals(nagging.settle(), false);
  assertEquals(nagging.raise(2, "b"), false);
  assertEquals([nagging.isOn, nagging.since, nagging.message], [true, 2, "b"]);
  assertEquals(nagging.settle(), false);
  assertEquals(nagging.raise(HOUR, "c"), true);
});
