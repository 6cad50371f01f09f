/** An engine with `userns-remap`: root in a container is nobody on the machine. */

import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { Docker } from "../container/docker.ts";
import { containerTest, engine } from "../container/engine.ts";
import { buildImages, MULTIBINDER, PAUSE, SITE } from "../container/images.ts";
import { Site } from "../container/site.ts";
import { Load } from "../support/http_client.ts";
import { assertNoneFailed } from "../support/outcome.ts";

/** The first of the machine's users that containers have. */
const FIRST = 200_000;
const ROOT = ["--user", "0", "--cap-drop", "all"];

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

containerTest(
  "with userns-remap a site is served, reloaded and upgraded as without",
  () =>
    remapped(async () => {
      {
        await using site = await Site.start();
        const v1 = await site.up("v1");
        assertEquals([await site.binder.user(), await v1.user()], [FIRST, FIRST + 99]);
        await using load = new Load(site.target, { workers: 3 });
        const v2 = await site.up("v2");
        await site.answeredBy("v2");
        assertStrictEquals((await site.down("v1")).code, 0);
        await v2.signal("SIGUSR2");
        await site.serves("v2", 2);
        await site.binder.signal("SIGUSR1");
        await site.binder.waitFor(({ upgrades }) => upgrades === 1);
        assertStrictEquals(await site.get(), "V2");
        assertNoneFailed("with userns-remap", await load.stop());
      }
      // What joins a container's network namespace shares its user namespace, too.
      await using site = await Site.start({ pause: true, args: [":80"] });
      await site.up("v1", ROOT);
      await using load = new Load(site.target, { workers: 3 });
      await engine.run("restart", site.binder.name);
      await site.binder.waitFor(({ missing }) => missing.length === 0);
      assertNoneFailed("a binder restarted", await load.stop());
    }),
);
