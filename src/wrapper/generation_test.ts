import { assertEquals } from "@std/assert";
import { type Role, snapshotOf, type Told } from "./generation.ts";

Deno.test("what was told to stop is draining, whatever it is here for", () => {
  const states: [Role, Told, string][] = [
    ["starting", "nothing", "starting"],
    ["settling", "nothing", "starting"],
    ["dropped", "soft", "draining"],
    ["serving", "nothing", "serving"],
    // At the wrapper's end.
    ["serving", "soft", "draining"],
    ["serving", "hard", "draining"],
    ["retired", "soft", "draining"],
    ["abandoned", "soft", "draining"],
  ];
  for (const [role, told, state] of states) {
    const snapshot = snapshotOf({ number: 1, pid: 2, role, told });
    assertEquals(snapshot.state, state, `${role}, told ${told}`);
    assertEquals(snapshot.isStopped, told === "hard" || role === "abandoned" ? true : undefined);
  }
});
