import { assertEquals } from "@std/assert";
import { type Role, snapshotOf, type Stop } from "./generation.ts";

Deno.test("what was told to stop is draining, whatever it is here for", () => {
  const states: [Role, Stop, string][] = [
    ["starting", "none", "starting"],
    ["settling", "none", "starting"],
    ["dropped", "soft", "draining"],
    ["serving", "none", "serving"],
    // At the wrapper's end.
    ["serving", "soft", "draining"],
    ["serving", "hard", "draining"],
    ["retired", "soft", "draining"],
    ["abandoned", "soft", "draining"],
  ];
  for (const [role, stop, state] of states) {
    const snapshot = snapshotOf({ number: 1, pid: 2, role, stop });
    assertEquals(snapshot.state, state, `${role}, told ${stop}`);
    assertEquals(snapshot.isStopped, stop === "hard" || role === "abandoned" ? true : undefined);
  }
});
