import { assertEquals } from "@std/assert";
import { surviveStrayFailures } from "./stray_failures.ts";

const told: unknown[] = [];
surviveStrayFailures({ warn: (_, fields) => told.push(fields?.error) });

/** Runs code as a template's is run: it belongs to no file. */
function run(code: string): void {
  new Function(code)();
}

/** Waits for the next failure. */
async function failure(): Promise<unknown> {
  while (told.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  return told.shift();
}

Deno.test("what a template leaves behind is told when it fails, and ends nothing", async () => {
  const cases: [code: string, error: string][] = [
    ["Promise.reject(new RangeError('secret'))", "RangeError"],
    ["Promise.reject('secret')", "string"],
    ["(async () => { await null; JSON.parse('secret') })()", "SyntaxError"],
    ["Deno.readTextFile('/nowhere/at/all')", "NotFound"],
    ["import('nothing-of-that-name')", "TypeError"],
    ["setTimeout(() => { throw new Error('secret') }, 0)", "Error"],
  ];
  for (const [code, error] of cases) {
    run(code);
    assertEquals(await failure(), error, code);
  }
});

Deno.test("a failure of this program's own code ends it", () => {
  const isFatal = (reason: unknown) => {
    const promise = Promise.resolve();
    const init = { reason, promise, cancelable: true };
    return dispatchEvent(new PromiseRejectionEvent("unhandledrejection", init));
  };
  assertEquals(isFatal(new Error("ours")), true);
  assertEquals(isFatal("not ours"), false);
  assertEquals(told.splice(0), ["string"]);
});
