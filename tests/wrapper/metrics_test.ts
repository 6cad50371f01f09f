/** A wrapper's metrics: reloads and drains, counted over an upgrade in place. */

import { assert, assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { startBinder } from "../support/binder.ts";
import { ignoreUnlessNoBinder, site, startWrapper, tag } from "../support/haproxy.ts";
import { addressOf, newTarget } from "../support/http_client.ts";
import { metricsOf, printedMetrics, scrape, valuesIn } from "../support/metrics.ts";
import { ask } from "../support/status.ts";

/** The values of some metrics, by the ends of their names. */
function some(values: ReadonlyMap<string, number>, ...ends: string[]): (number | undefined)[] {
  return ends.map((end) => values.get(`multibinder_${end}`));
}

const RELOADS = ['reloads_total{outcome="success"}', 'reloads_total{outcome="failure"}'];
const GENERATIONS = ["starting", "serving", "draining"].map((one) => `generations{state="${one}"}`);

Deno.test("reloads by their outcome, generations by their state, and drains", async () => {
  const [target, metrics] = [newTarget(), newTarget()];
  await using binder = await startBinder([addressOf(target)]);
  const args = ["--metrics", addressOf(metrics)];
  await using wrapper = await startWrapper(site(tag(target), "a"), { sock: binder.sock, args });
  const look = async () => valuesIn(await scrape(metrics));
  const first = await look();
  assertEquals(some(first, ...RELOADS, ...GENERATIONS), [1, 0, 0, 1, 0]);
  assertEquals(some(first, "config_last_reload_successful", "binder_connected"), [1, 1]);
  assertEquals([...first.keys()].filter((name) => name.includes("listener")), [], "the binder's");
  const done = first.get("multibinder_config_last_reload_success_timestamp_seconds") ?? 0;
  assert(Math.abs(done - Date.now() / 1000) < 60, "it is a time of today");

  {
    // A connection that has a request under way keeps the first generation draining.
    using client = await Deno.connect(target);
    await client.write(new TextEncoder().encode("GET / HTTP/1.1\r\n"));
    await wrapper.waitFor(() => true);
    assertStrictEquals((await wrapper.reload()).ok, true);
    const during = await metricsOf(wrapper.control);
    assertEquals(some(during, ...RELOADS, ...GENERATIONS), [2, 0, 0, 1, 1]);
    assertEquals(some(during, "drain_duration_seconds_count"), [0]);
    // The status counts the connections that are left, but not where that would take too long: then it is asked again.
    const tellsLeft = () =>
      wrapper.waitFor(({ generations: [old, serving] }) =>
        old?.connections === 1 && serving?.state === "serving" && !("connections" in serving)
      );
    await tellsLeft();
    assertMatch((await ask("status", wrapper.control)).stdout, /^ +1 +\d+ +draining +\S+ +1$/m);
    assertStrictEquals((await ask("upgrade", wrapper.control)).code, 0);
    await tellsLeft();
  }
  await wrapper.drained();
  wrapper.template = "nonsense";
  assertStrictEquals((await wrapper.reload()).ok, false);
  const last = await metricsOf(wrapper.control);
  assertEquals(some(last, ...RELOADS, ...GENERATIONS), [2, 1, 0, 1, 0]);
  assertEquals(some(last, "config_last_reload_successful", "upgrades_total"), [0, 1]);
  assertEquals(
    some(last, "reload_duration_seconds_count", "drain_duration_seconds_count", "drains_cut_total"),
    [3, 1, 0],
  );
  const byName = valuesIn(await printedMetrics(binder.sock, "site"));
  assertEquals(some(byName, ...RELOADS), some(last, ...RELOADS));
  const again = valuesIn(await scrape(metrics));
  assertEquals(again.get("multibinder_upgrades_total"), 1, "the socket outlived the upgrade");
});

Deno.test({
  name: "a wrapper that holds its sockets itself tells of them",
  ignore: ignoreUnlessNoBinder,
  async fn() {
    const target = newTarget();
    await using wrapper = await startWrapper(site(tag(target), "a"));
    const address = `{address="${target.hostname}:${target.port}"}`;
    const values = await metricsOf(wrapper.control);
    assertEquals(
      some(values, `listener_accept_queue_length${address}`, `listener_drops_total${address}`),
      [0, 0],
    );
    assertEquals(some(values, `listener_served${address}`, "binder_connected"), [1, undefined]);
  },
});
