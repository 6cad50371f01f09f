/** What Docker's daemon does to containers, and what that does to a site. */

import { assert, assertStrictEquals } from "@std/assert";
import { Docker } from "../container/docker.ts";
import { Container, containerTest, engine } from "../container/engine.ts";
import { buildImages, MULTIBINDER } from "../container/images.ts";
import { Site } from "../container/site.ts";
import { get, Load } from "../support/http_client.ts";
import { assertNoneFailed } from "../support/outcome.ts";
import { until } from "../support/process_status.ts";

/** How long the daemon may take to notice, in milliseconds. */
const PATIENCE = 60_000;

/** The daemon of this run. */
function daemon() {
  assert(engine instanceof Docker);
  return engine.engine;
}

/** Lets some requests end. */
async function served({ outcome }: Load, count = 50): Promise<void> {
  const { ok, failures } = outcome;
  const before = ok + failures.length;
  await until(() => outcome.ok + outcome.failures.length >= before + count);
}

containerTest(
  "the binder's health is starting, healthy, unhealthy, and healthy again",
  async () => {
    await buildImages();
    const quick = ["--health-interval=1s", "--health-timeout=3s", "--health-start-period=0s"];
    const args = [...quick, "--tmpfs", "/run", MULTIBINDER];
    await using binder = await engine.start("binder", ...args);
    const health = () => engine.run("inspect", "--format", "{{.State.Health.Status}}", "binder");
    assertStrictEquals(await health(), "starting");
    await until(async () => await health() === "healthy", PATIENCE);
    await binder.signal("SIGSTOP");
    await until(async () => await health() === "unhealthy", PATIENCE);
    await binder.signal("SIGCONT");
    await until(async () => await health() === "healthy", PATIENCE);
  },
);

containerTest(
  "docker update and docker restart of the only HAProxy lose no connection",
  async () => {
    await using site = await Site.start();
    await site.up("v1");
    await using load = new Load(site.target, { workers: 3 });
    for (const name of ["binder", "haproxy-v1"]) {
      const limits = ["--cpus", "1.5", "--memory", "512m", "--memory-swap", "512m"];
      await engine.run("update", ...limits, "--restart", "unless-stopped", name);
      await served(load);
    }
    for (let restart = 1; restart <= 2; restart++) {
      // New connections wait in the binder's socket meanwhile.
      await engine.run("restart", "haproxy-v1");
      await served(load);
    }
    assertNoneFailed("docker update and docker restart", await load.stop());
  },
);

containerTest(
  "with live-restore a site is served while there is no daemon, and outlives it",
  async () => {
    const config = { "live-restore": true };
    await daemon().stopDaemon();
    await daemon().startDaemon(config);
    try {
      await using site = await Site.start();
      const pid = await (await site.up("v1")).pid();
      await using load = new Load(site.target, { workers: 3 });
      await daemon().stopDaemon();
      await served(load, 300);
      assertNoneFailed("without a daemon", await load.stop());
      // A daemon that starts sets up the published ports anew: they refuse meanwhile.
      await daemon().startDaemon(config);
      await until(async () => await get(site.target).catch(() => "") === "V1", PATIENCE);
      await using v1 = new Container(engine, "haproxy-v1");
      assertStrictEquals(await v1.pid(), pid);
      await using again = new Load(site.target, { workers: 3 });
      await v1.signal("SIGUSR2");
      await site.serves("v1", 2);
      await served(again, 100);
      assertNoneFailed("with the next daemon", await again.stop());
    } finally {
      await daemon().stopDaemon();
      await daemon().startDaemon();
    }
  },
);
