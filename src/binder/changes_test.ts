import { assertEquals } from "@std/assert";
import { describeChanges } from "./changes.ts";

const NOTHING = { bound: [], gone: [], kept: {}, rules: false, needRestart: [] };

Deno.test("each kind of change is said, and that there was none", () => {
  assertEquals(describeChanges(NOTHING), "nothing has changed");
  assertEquals(
    describeChanges({
      bound: ["0.0.0.0:80", "[::]:80"],
      gone: ["0.0.0.0:81"],
      kept: { "0.0.0.0:82": "in use" },
      rules: true,
      needRestart: ["mode", "unservedAfter"],
    }),
    "bound 0.0.0.0:80, [::]:80; gave up 0.0.0.0:81; kept 0.0.0.0:82: in use; " +
      "changed who may connect, or ask for what; a restart is needed for mode, unserved-after",
  );
});
