import { assertEquals } from "@std/assert";
import { describeDuration } from "./duration.ts";

Deno.test("a duration has the units that it needs, and is never empty", () => {
  assertEquals([0, 60, 2000, 90_500, 3_600_000].map(describeDuration), [
    "0s",
    "60ms",
    "2s",
    "1m 30s 500ms",
    "1h",
  ]);
});
