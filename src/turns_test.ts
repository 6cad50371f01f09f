import { assertEquals } from "@std/assert";
import { giveTurn, Queue } from "./turns.ts";

/** Works for some milliseconds. */
function work(ms: number): void {
  for (const start = performance.now(); performance.now() - start < ms;);
}

Deno.test("however many have long work, others have a turn between two pieces of it", async () => {
  let pieces = 0;
  const seen: number[] = [];
  const long = Array.from({ length: 5 }, async () => {
    for (let piece = 0; piece < 4; piece++) {
      work(5);
      pieces++;
      await giveTurn();
    }
  });
  while (pieces < 20) {
    seen.push(pieces);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  await Promise.all(long);
  // The first piece of each comes at once: from then on there is one piece in a turn.
  const steps = seen.slice(1).map((count, index) => count - (seen[index] ?? 0));
  assertEquals(Math.max(...steps), 1);
});

Deno.test("the trusted go before all who wait", async () => {
  const queue = new Queue(1);
  const order: string[] = [];
  const join = (name: string, trusted: boolean) =>
    queue.run(async () => {
      order.push(name);
      await null;
    }, trusted);
  await Promise.all([join("a", false), join("b", false), join("c", false), join("root", true)]);
  assertEquals(order, ["a", "root", "b", "c"]);
});
