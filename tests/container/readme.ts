/** The commands in the example's README, run as they stand there. */

import { assert, assertEquals, assertNotMatch, assertStrictEquals } from "@std/assert";
import { commandsOf } from "../support/page.ts";
import { until } from "../support/process_status.ts";
import type { Program } from "../support/program.ts";
import { freePort } from "../support/temp_dir.ts";
import { Container, containerTest, engine } from "./engine.ts";
import { buildImages, EXAMPLE } from "./images.ts";

containerTest("the README's commands work as they stand, and no request fails", async () => {
  // Its builds find their layers made already.
  await buildImages();
  const port = freePort();
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => engine.clear());
  // A new object for each container, also of the same name, since it follows the log of one.
  const container = (name: string) => cleanup.use(new Container(engine, name));
  const [binder, v1, v2] = [container("binder"), container("haproxy-v1"), container("haproxy-v2")];
  let traffic: Program | undefined;
  /** Waits until the answers after those so far have come from these versions. */
  const answers = async (pattern: RegExp) => {
    const from = traffic?.stdout.length;
    await until(() => pattern.test(traffic?.stdout.slice(from) ?? ""));
  };
  // The lines of the log that are waited for are those that the page shows.
  const afterwards: [command: string, event: () => Promise<unknown>][] = [
    ["docker build", async () => {}],
    ["docker volume create", async () => {}],
    ["docker run -d --name binder", () => binder.log.waitFor(/ info listening for binds /)],
    ["docker run -d --name static-v1", async () => {}],
    ["docker run -d --name haproxy-v1", () => v1.serving()],
    ["./test.sh", () => answers(/^(V1){9}/)],
    ["docker run -d --name haproxy-v2", () => answers(/V1(V2)+V1/)],
    ["docker stop haproxy-v1", () => answers(/^(V2){9}/)],
    ["docker kill -s USR2 haproxy-v2", () => v2.log.waitFor(/ info reloaded /)],
    ["docker kill -s USR1 binder", async () => {
      await binder.log.waitFor(/ info upgraded .*upgrades=1$/);
      await answers(/^(V2){9}/);
      const again = cleanup.use(start(upgrade, port));
      assertStrictEquals((await again.exited).code, 0, again.stderr);
      await binder.log.waitFor(/ info upgraded .*upgrades=2$/);
      await answers(/^(V2){9}/);
      await traffic?.[Symbol.asyncDispose]();
      assertNotMatch(traffic?.stdout ?? "", /\[failed\]/);
    }],
    ["docker run -d --name site-net", async () => {
      await container("haproxy-v2").serving();
      traffic = cleanup.use(start("./test.sh", port));
      await answers(/^(V2){9}/);
    }],
    ["docker restart binder", async () => {
      await container("binder").log.waitFor(/ info adopted .*0\.0\.0\.0:80/);
      await answers(/^(V2){9}/);
    }],
    ["docker stop binder", async () => {
      await container("binder").log.waitFor(/ info adopted .*0\.0\.0\.0:80/);
      await answers(/^(V2){9}/);
    }],
  ];
  const blocks = commandsOf("examples/docker/README.md");
  const upgrade = blocks.find((block) => block.includes("docker kill -s USR1")) ?? "";
  for (const block of blocks) {
    const [what, event] = afterwards.shift() ?? [];
    assert(what && event && block.includes(what), `unexpected commands:\n${block}`);
    const program = cleanup.use(start(block, port));
    if (what === "./test.sh") traffic = program;
    else assertStrictEquals((await program.exited).code, 0, `${block}\n${program.stderr}`);
    await event();
  }
  assertEquals(afterwards, []);
  assertNotMatch(traffic?.stdout ?? "", /\[failed\]/);
});

/** Runs a shell's commands where the example lies. Podman's network and port are this test's own. */
function start(commands: string, port: number): Program {
  const text = engine.name === "docker" ? commands : commands
    // It is there already.
    .replace("docker network create test", `docker network inspect ${engine.network}`)
    .replaceAll("--network test", `--network ${engine.network}`)
    .replace("-p 80:80", `-p ${port}:80`)
    .replace("./test.sh", `./test.sh http://127.0.0.1:${port}/`);
  return engine.shell(text, EXAMPLE);
}
