/** Restarts of the unit that runs HAProxy, whatever goes on meanwhile. */

import { assert, assertMatch, assertNotStrictEquals, assertStrictEquals } from "@std/assert";
import { containerTest } from "../container/engine.ts";
import { get, HttpConnection, Load } from "../support/http_client.ts";
import { assertNoneFailed } from "../support/outcome.ts";
import { until } from "../support/process_status.ts";
import {
  beginRequest,
  BINDER_CONFIG,
  binderConfig,
  config,
  finish,
  HAPROXY,
  Host,
  TEMPLATE,
  VARIABLES,
} from "./host.ts";

containerTest("a restart pauses nothing and loses nothing, with a request in flight", async () => {
  await using host = await Host.serving("V1");
  using slow = await beginRequest(host);
  await using load = new Load(host.target, { workers: 2 });
  const before = await host.show(HAPROXY, "MainPID");
  host.write(TEMPLATE, config("V2"));
  // If the old wrapper ended HAProxy first, this would wait for the slow request.
  await host.run("systemctl", "restart", HAPROXY);
  assertNotStrictEquals(await host.show(HAPROXY, "MainPID"), before);
  assertStrictEquals(await get(host.target), "V2");
  assertStrictEquals(await finish(slow), "V1");
  const outcome = await load.stop();
  const { replies } = outcome;
  assertNoneFailed("a restart", outcome);
  assert((replies.get("V1") ?? 0) > 0 && (replies.get("V2") ?? 0) > 0);

  await host.run("systemctl", "stop", HAPROXY);
  assertStrictEquals(await host.show(HAPROXY, "Result"), "success");
  const { stdout } = await host.try("pidof", "haproxy");
  assertStrictEquals(stdout, "", "a stop stops HAProxy");
});

containerTest(
  "a restart into a broken config leaves HAProxy serving until it is mended",
  async () => {
    await using host = await Host.serving("V1");
    await using load = new Load(host.target, { workers: 2 });
    host.write(TEMPLATE, "nonsense\n");
    const { code } = await host.try("systemctl", "restart", HAPROXY);
    assertNotStrictEquals(code, 0);
    assertStrictEquals(await get(host.target), "V1");
    host.write(TEMPLATE, config("V2"));
    await host.activates(HAPROXY);
    await until(async () => await get(host.target) === "V2");
    assertNoneFailed("a restart into a broken config", await load.stop());
  },
);

containerTest(
  "clients of a unit that has never started wait for its first start, and it is told",
  async () => {
    await using host = await Host.boot();
    host.write(BINDER_CONFIG, `${binderConfig(":80")}unserved-after = "1s"\n`);
    host.write(TEMPLATE, "nonsense\n");
    await host.run("systemctl", "enable", "--now", "multibinder");
    const start = await host.try("systemctl", "enable", "--now", "multibinder-haproxy@site");
    assertNotStrictEquals(start.code, 0);
    using waiting = await HttpConnection.open(host.target);
    await waiting.send("/", ["Connection: close"]);
    const strict = () => host.try("multibinder", "healthcheck", "--strict");
    await until(async () => /0\.0\.0\.0:80/.test((await strict()).stderr));
    assertStrictEquals(await host.show(HAPROXY, "ActiveState"), "activating");
    assertMatch((await host.log(HAPROXY)).join("\n"), /unknown keyword 'nonsense'/);
    host.write(TEMPLATE, config("V1"));
    assertStrictEquals((await waiting.receive()).body, "V1");
    await host.activates(HAPROXY);
    await until(async () => (await strict()).code === 0);
  },
);

containerTest("a reload reads the variables that the template sees", async () => {
  await using host = await Host.serving("V1");
  host.write(TEMPLATE, config("<%= ENV['COLOUR'] || 'none' %>"));
  await host.run("systemctl", "reload", HAPROXY);
  assertStrictEquals(await get(host.target), "none");
  for (const colour of ["green", "blue"]) {
    host.write(VARIABLES, `# what the site is painted\nCOLOUR=${colour}\n`);
    await host.run("systemctl", "reload", HAPROXY);
    assertStrictEquals(await get(host.target), colour);
  }
  host.write(VARIABLES, "COLOUR\n");
  const { code, stderr } = await host.try("systemctl", "reload", HAPROXY);
  assertNotStrictEquals(code, 0, stderr);
  assertStrictEquals(await get(host.target), "blue");
});
