import { assertEquals } from "@std/assert";
import { createLog } from "../log.ts";
import { Repeats } from "./repeats.ts";

Deno.test("what a user does again and again is summed up, and hides nobody else's", async () => {
  const lines: string[] = [];
  const summed = Promise.withResolvers<void>();
  const log = createLog({ format: "text", level: "info", journal: true }, (line) => {
    lines.push(line.trim());
    if (line.includes("more=")) summed.resolve();
  });
  const repeats = new Repeats(log, 50);
  for (let pid = 1; pid <= 1000; pid++) repeats.warn("refused", { pid, uid: 1 });
  repeats.warn("refused", { pid: 1, uid: 2 });
  repeats.warn("denied", { pid: 1, uid: 1 });
  assertEquals(lines.length, 22);
  assertEquals(lines.slice(19), [
    "<4>refused pid=20 uid=1",
    "<4>refused pid=1 uid=2",
    "<4>denied pid=1 uid=1",
  ]);
  await summed.promise;
  assertEquals(lines[22], "<4>refused uid=1 more=980 within=50ms");
  // A new period begins with lines again.
  repeats.warn("refused", { pid: 5, uid: 1 });
  assertEquals(lines.at(-1), "<4>refused pid=5 uid=1");
  repeats.close();
  // No timer is left, which would fail this test.
  repeats.warn("refused", { pid: 6, uid: 1 });
  assertEquals(lines.at(-1), "<4>refused pid=6 uid=1");
});
