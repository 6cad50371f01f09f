/** An engine with `userns-remap`: root in a container is nobody on the machine. */

// deno-lint-ignore-file no-console -- what was measured is worth reading
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { Docker } from "../container/docker.ts";
import { type Container, containerTest, engine } from "../container/engine.ts";
import { buildImages, MULTIBINDER, PAUSE, SITE } from "../container/images.ts";
import { Site } from "../container/site.ts";
import { Load } from "../support/http_client.ts";
import { processStatus } from "../support/process_status.ts";

/** The first of the machine's users that containers have. */
const FIRST = 200_000;
const ROOT = ["--user", "0", "--cap-drop", "all"];

/** The user of a container's first process, as this machine has it. */
async function userOf(container: Container): Promise<number> {
  return Number(processStatus(await container.pid(), "Uid")?.split("\t")[0]);
}

/** Runs what is to be done on the engine while it has such containers. Its images are those of before. */
async function remapped(what: () => Promise<void>): Promise<void> {
  assert(engine instanceof Docker);
  await buildImages();
  const daemon = engine.engine;
  const at = (name: string) => engine.folder.file(name);
  await engine.run("save", "--output", at("images.tar"), MULTIBINDER, SITE, PAUSE);
  // The ranges of users that the machine lends are in these files: the daemon gets its own.
  Deno.writeTextFileSync(at("ids"), `nobody:${FIRST}:65536\n`);
  const mounts = 'mount --bind "$0" /etc/subuid; mount --bind "$0" /etc/subgid; exec "$@"';
  const through = ["unshare", "--mount", "sh", "-ec", mounts, at("ids")];
  await daemon.stopDaemon();
  try {
    await daemon.startDaemon({ "userns-remap": "nobody:nogroup" }, through);
    await engine.run("load", "--input", at("images.tar"));
    await engine.run("network", "create", engine.network);
    await what();
  } finally {
    await daemon.stopDaemon();
    await daemon.startDaemon();
  }
}

async function assertNoneFailed(what: string, load: Load): Promise<void> {
  const { ok, failures } = await load.stop();
  console.info(`${what}: ${ok} ok, ${failures.length} failed`);
  assertEquals(failures, []);
  assert(ok > 100, `only ${ok} requests`);
}

containerTest("with userns-remap all is as without", () =>
  remapped(async () => {
    {
      await using site = await Site.start();
      const v1 = await site.up("v1");
      assertEquals([await userOf(site.binder), await userOf(v1)], [FIRST, FIRST + 99]);
      await using load = new Load(site.target, { workers: 3 });
      const v2 = await site.up("v2");
      await site.answeredBy("v2");
      assertStrictEquals((await site.down("v1")).code, 0);
      await v2.signal("SIGUSR2");
      await site.serves("v2", 2);
      await site.binder.signal("SIGUSR1");
      await site.binder.waitFor(({ upgrades }) => upgrades === 1);
      assertStrictEquals(await site.get(), "V2");
      await assertNoneFailed("with userns-remap", load);
    }
    // What joins a container's network namespace shares its user namespace, too.
    await using site = await Site.start({ pause: true, args: [":80"] });
    await site.up("v1", ROOT);
    await using load = new Load(site.target, { workers: 3 });
    await engine.run("restart", site.binder.name);
    await site.binder.waitFor(({ missing }) => missing.length === 0);
    await assertNoneFailed("a binder restarted", load);
  }));
