/** Moving a site of a host with systemd to multibinder's units, under load. */

import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { containerTest } from "../container/engine.ts";
import { get, Load } from "../support/http_client.ts";
import { fileOn } from "../support/page.ts";
import { until } from "../support/process_status.ts";
import { BINDER, BINDER_CONFIG, binderConfig, config, HAPROXY, Host, TEMPLATE } from "./host.ts";

/** What root of a host has and root of a container lacks: it may trace other processes. */
const CAPABILITIES = ["--cap-add", "SYS_PTRACE", "--cap-add", "DAC_READ_SEARCH"];

/** The config of a HAProxy that answers "old". @param bind what it binds */
function plain(bind: string): string {
  return config("old").replace(/<%= .* %>/, bind);
}

/**
 * Moves a site.
 * @param hold has the binder hold its socket
 * @param stop stops what has served it
 */
async function move(host: Host, hold: () => Promise<void>, stop: () => Promise<void>) {
  const { target } = host;
  await until(async () => await get(target).catch(() => "") === "old");
  await using load = new Load(target, { workers: 2 });
  await load.more("old");
  await hold();
  await load.more("old");
  host.write(TEMPLATE, config("new"));
  await host.run("systemctl", "start", HAPROXY);
  await load.more("new");
  await stop();
  const { old } = Object.fromEntries(load.outcome.replies);
  await load.more("new");
  const { failures, replies } = await load.stop();
  assertEquals(failures, []);
  assertStrictEquals(replies.get("old"), old, "nobody but the new server answers");
}

/** A stop is a soft one, at once. */
const SOFT = "[Service]\nKillSignal=SIGUSR1\n";

containerTest(
  "haproxy.service with plain binds moves to the binder's unit, which takes the socket",
  async () => {
    await using host = await Host.boot(CAPABILITIES);
    host.write("/etc/haproxy/haproxy.cfg", plain("0.0.0.0:80"));
    await host.run("systemctl", "start", "haproxy");
    const take = "/etc/systemd/system/multibinder.service.d/take.conf";
    await move(host, async () => {
      host.write(take, fileOn("docs/migrating.md", take));
      host.write(BINDER_CONFIG, binderConfig(":80"));
      await host.run("systemctl", "daemon-reload");
      await host.run("systemctl", "start", BINDER);
    }, async () => {
      const soft = "/etc/systemd/system/haproxy.service.d/soft.conf";
      host.write(soft, fileOn("docs/migrating.md", soft));
      await host.run("systemctl", "daemon-reload");
      await host.run("systemctl", "stop", "haproxy");
    });
    // From now on without the right to trace: the sockets come from the store.
    const held = await host.listening(BINDER);
    assertStrictEquals(held.length, 1);
    await host.run("rm", take);
    await host.run("systemctl", "daemon-reload");
    await host.run("systemctl", "restart", BINDER);
    assertEquals(await host.listening(BINDER), held);
    assertStrictEquals(await get(host.target), "new");
  },
);

containerTest("a .socket unit gives its socket to the binder beside its service", async () => {
  await using host = await Host.boot(CAPABILITIES);
  host.write("/etc/systemd/system/site.socket", "[Socket]\nListenStream=0.0.0.0:80\n");
  const run = "/usr/sbin/haproxy -db -f /etc/haproxy/site.cfg";
  host.write("/etc/systemd/system/site.service", `${SOFT}ExecStart=${run}\nNonBlocking=yes\n`);
  host.write("/etc/haproxy/site.cfg", plain("fd@3"));
  await host.run("systemctl", "start", "site.socket");
  const drop = "/etc/systemd/system/multibinder.service.d/site.conf";
  await move(host, async () => {
    host.write(drop, fileOn("docs/migrating.md", drop));
    await host.run("systemctl", "daemon-reload");
    await host.run("systemctl", "start", BINDER);
    assert((await host.listening(BINDER)).length === 1);
  }, async () => {
    await host.run("systemctl", "stop", "site.socket");
    await host.run("systemctl", "stop", "site.service");
  });
  const held = await host.listening(BINDER);
  await host.run("rm", drop);
  host.write(BINDER_CONFIG, binderConfig(":80"));
  await host.run("systemctl", "daemon-reload");
  await host.run("systemctl", "restart", BINDER);
  // The wrapper hands it back.
  await until(async () => (await host.listening(BINDER).catch(() => [])).length === 1);
  assertEquals(await host.listening(BINDER), held);
  assertStrictEquals(await get(host.target), "new");
});
