/** HAProxy of a unit that crashes again and again. */

import { assertEquals, assertNotStrictEquals, assertStrictEquals } from "@std/assert";
import { containerTest } from "../container/engine.ts";
import { get, HttpConnection } from "../support/http_client.ts";
import { until } from "../support/process_status.ts";
import type { WrapperStatus } from "../support/status.ts";
import { config, CONTROL, HAPROXY, Host, TEMPLATE } from "./host.ts";

containerTest(
  "six crashes of HAProxy leave a unit that serves, and a wrapper that tells of it",
  async () => {
    await using host = await Host.serving("V1");
    const wrapper = await host.show(HAPROXY, "MainPID");
    for (let count = 0, last = ""; count < 6; count++) {
      let pid = last;
      await until(async () => {
        pid = (await host.try("pidof", "haproxy")).stdout.trim();
        return /^\d+$/.test(pid) && pid !== last;
      });
      last = pid;
      await host.run("sh", "-c", `kill -KILL ${pid}`);
      // It waits in the accept queue for the next one.
      assertStrictEquals(await get(host.target), "V1");
    }
    assertStrictEquals(await host.show(HAPROXY, "MainPID"), wrapper);
    assertStrictEquals(await host.show(HAPROXY, "ActiveState"), "active");

    // One that cannot come back: the status says so for as long as that lasts, and a client is served after it.
    host.write(TEMPLATE, "nonsense\n");
    await host.run("sh", "-c", "kill -KILL $(pidof haproxy)");
    const isTold = (text: string) => /the start failed: HAProxy refused the config/.test(text);
    await until(async () => isTold(await host.show(HAPROXY, "StatusText")));
    const status = JSON.parse(await host.run("multibinder", "status", "--json", "--sock", CONTROL));
    assertEquals([status.generations, status.lastReload.ok], [[], false]);
    const strict = ["multibinder", "healthcheck", "--strict", "--sock", CONTROL];
    assertNotStrictEquals((await host.try(...strict)).code, 0);
    using waiting = await HttpConnection.open(host.target);
    await waiting.send("/", ["Connection: close"]);
    host.write(TEMPLATE, config("V2"));
    // The pause before the next start has grown to ten seconds, which is as long as a client waits here.
    const serves = ({ generations }: WrapperStatus) => generations[0]?.state === "serving";
    await host.waitFor(serves, CONTROL);
    assertStrictEquals((await waiting.receive()).body, "V2");
    await host.run(...strict);
    assertStrictEquals(await host.show(HAPROXY, "MainPID"), wrapper);
  },
);
