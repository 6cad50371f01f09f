import { assertEquals } from "@std/assert";
import { Budget } from "./budget.ts";

const one = { uid: 1, trusted: false };
const two = { uid: 2, trusted: false };
const root = { uid: 0, trusted: true };

Deno.test("no user takes more than its share, nor all of them the room of those who are trusted", () => {
  const budget = new Budget({ user: 10, others: 15, all: 30 });
  assertEquals(budget.take(one, 11), false);
  assertEquals(budget.take(one, 10), true);
  assertEquals(budget.take(one, 1), false, "its share is taken");
  assertEquals(budget.take(two, 6), false, "that of all others is");
  assertEquals(budget.take(two, 5), true);
  assertEquals(budget.take(root, 16), false);
  assertEquals(budget.take(root, 15), true);
  assertEquals(budget.take(root, 1), false, "everything is taken");
  budget.give(one, 10);
  assertEquals(budget.take(root, 10), true);
  assertEquals(budget.take(one, 1), false, "what is not there nobody gets");
  budget.give(root, 25);
  assertEquals(budget.take(one, 10), true);
});
