/** No connection is lost by a reload, and the tests would see it if one were. */

import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import "../support/libc.ts";
import { SIGNALS } from "../../ffi/constants.ts";
import { acceptQueue } from "../../ffi/socket.ts";
import { startBinder } from "../support/binder.ts";
import {
  ignoreUnlessNoBinder,
  site,
  type SiteOptions,
  startWrapper,
  tag,
  type Wrapper,
} from "../support/haproxy.ts";
import { addressOf, Load, newTarget } from "../support/http_client.ts";
import { listeningSockets } from "../support/process.ts";
import { signalsIn, suspend, until } from "../support/process_status.ts";
import { startProgram } from "../support/program.ts";
import { freePort, loopbackHost, tempDir } from "../support/temp_dir.ts";
import { copySocket, WAITING, Waiting } from "../support/waiting.ts";

Deno.test("connections that wait for a server that hangs are served after a reload", async () => {
  const target = newTarget();
  await using binder = await startBinder();
  await using wrapper = await startWrapper(site(tag(target), "first"), { sock: binder.sock });
  using socket = await copySocket(binder.sock, target);
  for (const reply of ["second", "third", "fourth"]) {
    const hanging = (await wrapper.serving()).pid;
    await suspend(hanging);
    using waiting = new Waiting();
    await waiting.open(target);
    await until(() => acceptQueue(socket).length === WAITING);

    wrapper.template = site(tag(target), reply);
    await wrapper.reload();
    assertEquals(await waiting.replies(), new Map([[reply, WAITING]]));
    Deno.kill(hanging, "SIGCONT");
    await wrapper.drained();
  }
});

Deno.test("without the program, HAProxy's own reload loses most of them", async () => {
  const target = { hostname: loopbackHost(), port: freePort() };
  using folder = tempDir();
  const config = folder.file("site.cfg");
  Deno.writeTextFileSync(config, site(addressOf(target), "plain"));
  await using before = startProgram(["haproxy", "-db", "-f", config]);
  await until(() => listeningSockets(before.pid).length === 1);
  await suspend(before.pid);
  using waiting = new Waiting();
  await waiting.open(target);

  await using _after = startProgram(["haproxy", "-db", "-f", config, "-sf", `${before.pid}`]);
  await until(() => signalsIn(before.pid, "ShdPnd").includes(SIGNALS.SIGUSR1));
  before.signal("SIGCONT");
  const lost = (await waiting.replies()).get("lost") ?? 0;
  assert(lost > WAITING / 2, `only ${lost} of ${WAITING} were lost`);
});

/** How many reloads follow each other under load: as many as MULTIBINDER_RELOADS says, else a few. */
const RELOADS = Number(Deno.env.get("MULTIBINDER_RELOADS") ?? 8);

/** Reloads under load. */
async function reloadUnder(load: Load, wrapper: Wrapper): Promise<void> {
  const first = (await wrapper.serving()).generation;
  for (let count = 0; count < RELOADS; count++) {
    assertStrictEquals((await wrapper.reload()).ok, true);
  }
  const { ok, failures } = await load.stop();
  assertEquals(failures, []);
  assert(ok > 10 * RELOADS, `only ${ok} requests were made`);
  assertStrictEquals((await wrapper.serving()).generation, first + RELOADS);
}

Deno.test(`${RELOADS} reloads under a load of new connections lose none`, async () => {
  const target = newTarget();
  await using binder = await startBinder();
  await using wrapper = await startWrapper(site(tag(target), "ok"), { sock: binder.sock });
  await using load = new Load(target, { workers: 4, pause: 0 });
  await reloadUnder(load, wrapper);
});

Deno.test({
  name:
    `${RELOADS} reloads under load lose none without a binder, when the wrapper holds the sockets`,
  ignore: ignoreUnlessNoBinder,
  async fn() {
    const target = newTarget();
    await using wrapper = await startWrapper(site(tag(target), "ok"));
    await using load = new Load(target, { workers: 4, pause: 0 });
    await reloadUnder(load, wrapper);
  },
});

/** Reloads under a load of connections that are kept until the server announces their end. */
async function reloadUnderKeptConnections(
  { repeat = false, ...options }: SiteOptions & { repeat?: boolean },
): Promise<void> {
  const target = newTarget();
  await using binder = await startBinder();
  await using wrapper = await startWrapper(site(tag(target), "ok", options), { sock: binder.sock });
  await using load = new Load(target, { workers: 8, keepAlive: true, repeat, pause: 0 });
  await reloadUnder(load, wrapper);
}

Deno.test("with close-spread-time, and a last answer that says so, kept connections lose none", () =>
  reloadUnderKeptConnections({
    global: ["close-spread-time 60s"],
    frontend: ["http-after-response set-header Connection close if { stopping }"],
  }));

Deno.test("with idle-close-on-response, kept connections lose none", () =>
  reloadUnderKeptConnections({ frontend: ["option idle-close-on-response"] }));

// By itself that option closes connections unannounced, when a request may be on its way.
Deno.test("with close-spread-time alone, clients that repeat such a request lose none", () =>
  reloadUnderKeptConnections({ global: ["close-spread-time 1s"], repeat: true }));
