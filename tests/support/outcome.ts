/** How a load ended. */

// deno-lint-ignore-file no-console -- what was measured is worth reading
import { assert, assertEquals } from "@std/assert";
import type { Outcome } from "./http_client.ts";

/** Prints how a load ended, and asserts that it had many requests and that none of them failed. */
export function assertNoneFailed(what: string, { ok, failures, replies }: Outcome): void {
  const each = [...replies].map(([body, count]) => `${count} ${body}`).join(", ");
  console.info(`${what}: ${ok} ok (${each}), ${failures.length} failed`);
  assertEquals(failures, []);
  assert(ok > 50, `only ${ok} requests`);
}
