/** The walk-through in short on Docker's own engine, with the images that podman has built. */

import { assertStrictEquals } from "@std/assert";
import { Load } from "../support/http_client.ts";
import { assertNoneFailed } from "../support/outcome.ts";
import { ignoreUnless } from "../support/users.ts";
import { Docker } from "./docker.ts";
import { containerTest, engine } from "./engine.ts";
import { buildImages, MULTIBINDER, SITE } from "./images.ts";
import { Site } from "./site.ts";

const docker = new Docker();
globalThis.addEventListener("unload", () => docker.remove());
/** Why there is no Docker engine; undefined when there is one. */
const reason = Deno.uid() !== 0
  ? "it needs root"
  : await docker.prepare().then(() => undefined, (error) => String(error).replaceAll(/\s+/g, " "));

containerTest(
  "what podman built, on a Docker engine: v2 beside v1, v1 stopped, a reload, an upgrade",
  async () => {
    await buildImages();
    const archive = docker.folder.file("images.tar");
    await engine.run("save", "--multi-image-archive", "--output", archive, MULTIBINDER, SITE);
    await docker.run("load", "--input", archive);
    for (const image of [MULTIBINDER, SITE]) {
      // Podman's names of images that come from no registry.
      await docker.run("tag", `localhost/${image}:latest`, image);
    }
    await using site = await Site.start({ engine: docker });
    const v1 = await site.up("v1");
    await using load = new Load(site.target, { workers: 3 });
    const v2 = await site.up("v2");
    await site.answeredBy("v1");
    await site.answeredBy("v2");
    assertStrictEquals((await site.down("v1")).code, 0, v1.name);
    await v2.signal("SIGUSR2");
    await site.serves("v2", 2);
    await site.binder.signal("SIGUSR1");
    await site.binder.waitFor(({ upgrades }) => upgrades === 1);
    assertStrictEquals(await site.get(), "V2");
    assertNoneFailed("on Docker", await load.stop());
  },
  ignoreUnless(reason === undefined, `no Docker engine can be started here: ${reason}`),
);
