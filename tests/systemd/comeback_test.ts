/** A binder that always comes back, and with its sockets: what operators do to its unit, in any order. */

// deno-lint-ignore-file no-console -- what was measured is worth reading
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { containerTest } from "../container/engine.ts";
import { get, Load } from "../support/http_client.ts";
import { until } from "../support/process_status.ts";
import { BINDER, BINDER_CONFIG, binderConfig, config, HAPROXY, Host } from "./host.ts";

const CONFIG = "/etc/haproxy/site.cfg.eta";

/** Waits until the binder holds that very socket and says that it is well. */
async function isBack(host: Host, sockets: readonly number[]): Promise<void> {
  await until(async () => {
    const { code } = await host.try("multibinder", "healthcheck", "--timeout", "1s");
    return code === 0 && await host.show(BINDER, "ActiveState") === "active";
  });
  assertEquals(await host.listening(BINDER), sockets);
}

/** A reload must reach the binder: it gets the sockets from there. */
async function reloads(host: Host, text: string): Promise<void> {
  host.write(CONFIG, config(text));
  await host.run("systemctl", "reload", HAPROXY);
  assertStrictEquals(await get(host.target), text);
}

const DEEDS: Record<string, (host: Host) => Promise<void>> = {
  "a stop and a start": async (host) => {
    await host.run("systemctl", "stop", BINDER);
    await host.run("systemctl", "start", BINDER);
  },
  "a slip in the config, a restart, and the slip mended": async (host) => {
    host.write(BINDER_CONFIG, binderConfig(":8O"));
    await host.try("systemctl", "restart", BINDER);
    // More failures than the limit of starts that systemd has by default.
    await until(async () => Number(await host.show(BINDER, "NRestarts")) >= 6);
    assertStrictEquals(await host.show(BINDER, "NFileDescriptorStore"), "1", "what it holds");
    assertStrictEquals(await get(host.target), "V1");
    host.write(BINDER_CONFIG, binderConfig(":80"));
  },
  "seven times kill -9": async (host) => {
    let last = "0";
    for (let count = 0; count < 7; count++) {
      let pid = last;
      // The one before is still shown for a moment.
      await until(async () => {
        pid = await host.show(BINDER, "MainPID");
        return pid !== "0" && pid !== last;
      });
      last = pid;
      await host.kill(BINDER);
    }
  },
  ":80 left out of the config, a restart, and put back": async (host) => {
    host.write(BINDER_CONFIG, binderConfig(":81"));
    await host.run("systemctl", "restart", BINDER);
    host.write(BINDER_CONFIG, binderConfig(":80"));
    await host.run("systemctl", "restart", BINDER);
  },
  "a stop of the binder with its socket, a restart of HAProxy, and a start of the binder": async (
    host,
  ) => {
    await host.run("systemctl", "stop", "multibinder.socket", BINDER);
    await host.run("systemctl", "restart", HAPROXY);
    await host.run("systemctl", "start", BINDER);
  },
  "a stop of the binder, kill -9 of the wrapper, and both started in one go": async (host) => {
    await host.run("systemctl", "stop", BINDER);
    await host.kill(HAPROXY);
    await host.run("systemctl", "restart", BINDER, HAPROXY);
  },
  "a stop of the binder, and a reload of HAProxy that starts one again": async (host) => {
    await host.run("systemctl", "stop", BINDER);
    await reloads(host, "V1");
  },
};

containerTest(
  "a binder comes back with its sockets, whatever was done to it, under load",
  async () => {
    await using host = await Host.serving("V1");
    const before = await host.listening(BINDER);
    assertStrictEquals(before.length, 1);
    for (const [what, act] of Object.entries(DEEDS)) {
      await using load = new Load(host.target, { workers: 2 });
      await act(host);
      await isBack(host, before);
      await reloads(host, "V1");
      const { ok, failures } = await load.stop();
      console.info(`${what}: ${ok} ok, ${failures.length} failed`);
      assertEquals(failures, [], what);
      assert(ok > 100, `only ${ok} requests`);
    }
  },
);
