/** The example's compose.yaml, by whatever `docker-compose` is installed. */

import { assert, assertStrictEquals } from "@std/assert";
import { Docker } from "../container/docker.ts";
import { containerTest, engine } from "../container/engine.ts";
import { buildImages, EXAMPLE } from "../container/images.ts";
import { must } from "../support/docker.ts";
import { get, Load } from "../support/http_client.ts";
import { assertNoneFailed } from "../support/outcome.ts";
import { until } from "../support/process_status.ts";
import { hasProgram, ignoreUnless } from "../support/users.ts";

/** What `docker-compose` does may take longer than what a program does by itself, in milliseconds. */
const PATIENCE = 60_000;

containerTest(
  "compose: up, a reload, stop of v1 and down; no request fails before that",
  async () => {
    assert(engine instanceof Docker);
    const docker = engine.engine;
    await buildImages();
    const file = ["--project-directory", EXAMPLE, "--file", `${EXAMPLE}/compose.yaml`];
    const compose = (words: string) =>
      must(["docker-compose", ...file, ...words.split(" ")], docker.environment);
    await using cleanup = new AsyncDisposableStack();
    cleanup.defer(() => engine.clear());
    await compose("up --detach");
    const target = { hostname: docker.address, port: 80 };
    const seen = new Set<string>();
    await until(
      async () => seen.add(await get(target).catch(() => "")).isSupersetOf(new Set(["V1", "V2"])),
      PATIENCE,
    );
    await using load = new Load(target, { workers: 3 });
    await compose("kill -s SIGUSR2 haproxy-v2");
    await until(
      async () => (await compose("logs haproxy-v2")).includes(" info reloaded "),
      PATIENCE,
    );
    await compose("stop haproxy-v1");
    assertStrictEquals(await get(target), "V2");
    assertNoneFailed("compose", await load.stop());
    await compose("down --volumes");
    assertStrictEquals(await engine.run("ps", "--all", "--quiet"), "");
  },
  ignoreUnless(hasProgram("docker-compose"), "docker-compose is not installed"),
);
