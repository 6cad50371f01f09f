/** A host that always comes back, and with its sockets: what operators do to its units, in any order. */

// deno-lint-ignore-file no-console -- what was measured is worth reading
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { containerTest } from "../container/engine.ts";
import { Load } from "../support/http_client.ts";
import { DEEDS, isBack, reloads } from "./deeds.ts";
import { BINDER, Host } from "./host.ts";

containerTest(
  "a host comes back with its sockets, whatever was done to it, under load",
  async () => {
    await using host = await Host.serving("V1");
    const before = await host.listening(BINDER);
    assertStrictEquals(before.length, 1);
    for (const [what, { act, cuts, isExtra }] of Object.entries(DEEDS)) {
      if (isExtra) continue;
      await using load = new Load(host.target, { workers: 2 });
      const begin = performance.now();
      try {
        await act(host);
        await isBack(host, before);
        await reloads(host, "V1");
      } catch (error) {
        throw new Error(`${what}: ${error}\n${host.journal.stdout.slice(-6000)}`, { cause: error });
      }
      const { ok, failures } = await load.stop();
      const seconds = ((performance.now() - begin) / 1000).toFixed(1);
      console.info(`${what}: ${ok} ok, ${failures.length} failed, ${seconds} s`);
      if (!cuts) assertEquals(failures, [], what);
      assert(ok > 50, `only ${ok} requests`);
    }
  },
);
