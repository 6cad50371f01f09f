/** The walk-through under load. */

// deno-lint-ignore-file no-console -- what was measured is worth reading
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { hasStopped } from "../support/haproxy.ts";
import { HttpConnection, Load } from "../support/http_client.ts";
import { assertNoneFailed } from "../support/outcome.ts";
import { childrenOf, commandOf } from "../support/process_status.ts";
import { containerTest, engine } from "./engine.ts";
import { Site, type Version } from "./site.ts";

/** How often: more at night, which is when Docker is tested. */
const TIMES = engine.name === "docker" ? 5 : 3;

containerTest(`${TIMES} swaps of v1 and v2 lose no connection, new or kept`, async () => {
  await using site = await Site.start();
  await site.up("v1");
  await using fresh = new Load(site.target, { workers: 3 });
  await using kept = new Load(site.target, { workers: 3, keepAlive: true });
  let [before, after]: [Version, Version] = ["v1", "v2"];
  for (let swap = 0; swap < TIMES; swap++) {
    await site.up(after);
    await site.answeredBy(before);
    await site.answeredBy(after);
    const { code } = await site.down(before);
    assertStrictEquals(code, 0);
    assertStrictEquals(await site.get(), after.toUpperCase());
    [before, after] = [after, before];
  }
  assertNoneFailed("new connections", await fresh.stop());
  assertNoneFailed("kept connections", await kept.stop());
});

containerTest(
  `${TIMES} upgrades of the binder in place, during a swap, lose no connection`,
  async () => {
    await using site = await Site.start();
    await site.up("v1");
    await using load = new Load(site.target, { workers: 3 });
    for (let count = 1; count <= TIMES; count++) {
      const started = count === 2 ? site.up("v2") : undefined;
      const stopped = count === 3 ? site.down("v1") : undefined;
      await site.binder.signal("SIGUSR1");
      await site.binder.waitFor(({ upgrades }) => upgrades === count);
      await Promise.all([started, stopped]);
    }
    assertStrictEquals(await site.get(), "V2");
    assertNoneFailed("during the upgrades", await load.stop());
  },
);

containerTest(
  "docker stop completes a slow request, and the container ends with 0, by itself",
  async () => {
    await using site = await Site.start();
    const v1 = await site.up("v1");
    using slow = await HttpConnection.open(site.target);
    const head = ["POST / HTTP/1.1", "Host: test", "Content-Length: 4", "Expect: 100-continue"];
    await slow.connection.write(new TextEncoder().encode([...head, "", ""].join("\r\n")));
    // The backend says this, so the request has gone all the way.
    assertStrictEquals((await slow.receive()).status, 100);
    await site.up("v2");
    await using load = new Load(site.target, { workers: 3 });
    const server = childrenOf(await v1.pid()).find((pid) => commandOf(pid) === "haproxy");
    assert(server);
    const stopping = site.down("v1");
    await hasStopped(server);
    await site.answeredBy("v2");
    await slow.connection.write(new TextEncoder().encode("body"));
    const reply = await slow.receive();
    assertEquals([reply.status, reply.body], [200, "V1"]);
    const { code, took } = await stopping;
    console.info(`docker stop took ${Math.round(took)} ms`);
    // What the engine has to kill, after ten seconds, ends with 137.
    assertStrictEquals(code, 0);
    assertNoneFailed("during the stop", await load.stop());
  },
);
