/** The wrapper as the first process of a container. */

import { assert, assertStrictEquals } from "@std/assert";
import { assertNoneFailed } from "../support/outcome.ts";
import { childrenOf, commandOf, processStatus, until } from "../support/process_status.ts";
import { Load } from "../support/http_client.ts";
import { tempDir } from "../support/temp_dir.ts";
import { containerTest, engine } from "./engine.ts";
import { EXAMPLE } from "./images.ts";
import { Site } from "./site.ts";

containerTest("docker kill -s USR2 reloads, or says why not, and no zombie stays", async () => {
  using configs = tempDir();
  const config = (backend: string) => {
    const text = Deno.readTextFileSync(`${EXAMPLE}/site.v1.cfg.erb`);
    Deno.writeTextFileSync(configs.file("site.v1.cfg.erb"), text.replace("static-v1", backend));
  };
  config("static-v1");
  await using site = await Site.start({ configs: configs.path });
  const v1 = await site.up("v1");
  await using load = new Load(site.target, { workers: 2 });
  for (const [index, backend] of ["static-v2", "static-v1", "static-v2"].entries()) {
    config(backend);
    await v1.signal("SIGUSR2");
    await site.serves("v1", index + 2);
  }
  assertStrictEquals(await site.get(), "V2");
  assertNoneFailed("reloads", await load.stop());

  // Its parent ends at once: the first process inherits it.
  await engine.run("exec", v1.name, "sh", "-c", "(true &)");
  const pid = await v1.pid();
  await until(() =>
    childrenOf(pid).every((child) => !processStatus(child, "State")?.startsWith("Z"))
  );
  assertStrictEquals(childrenOf(pid).filter(isServer).length, 1);

  Deno.writeTextFileSync(configs.file("site.v1.cfg.erb"), "nonsense\n", { append: true });
  await v1.signal("SIGUSR2");
  await v1.log.waitFor(/nonsense/);
  await v1.log.waitFor(/ error reload failed/);
  assertStrictEquals(await site.get(), "V2");
});

containerTest("a server that dies ends its container; --stop-delay puts off the end", async () => {
  await using site = await Site.start();
  const v1 = await site.launch("v1", [], ["--stop-delay", "1s"]);
  await v1.serving();
  const v2 = await site.up("v2");
  const server = childrenOf(await v2.pid()).find(isServer);
  assert(server);
  Deno.kill(server, "SIGKILL");
  assertStrictEquals(await v2.exited(), 128 + 9);
  const start = performance.now();
  // As `docker stop` does. But podman no longer follows the log of a container that it stops itself.
  await v1.signal("SIGTERM");
  await v1.log.waitFor(/ info stopping in 1s/);
  assertStrictEquals(await site.get(), "V1");
  assertStrictEquals(await v1.exited(), 0);
  assert(performance.now() - start >= 1000);
});

function isServer(pid: number): boolean {
  return commandOf(pid) === "haproxy";
}
