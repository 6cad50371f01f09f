/** The image: what is in it, and its health check. */

// deno-lint-ignore-file no-console -- what was measured is worth reading
import { assert, assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { format } from "@std/fmt/bytes";
import { must } from "../support/docker.ts";
import { containerTest, DISTROLESS, engine } from "./engine.ts";
import { buildImages, MULTIBINDER } from "./images.ts";

/** Bytes that the image may have. */
const MAX_SIZE = 130_000_000;
/** What the program is made of. */
const SBOM = "usr/share/doc/multibinder/sbom.cdx.json";

containerTest("the image has the program, no shell, and a limited size", async () => {
  const output = await buildImages();
  assertMatch(output, /built \/out\/multibinder: multibinder \S+, \d+ MB/);
  const [image] = JSON.parse(await engine.run("image", "inspect", MULTIBINDER));
  console.info(`image size: ${format(image.Size)}`);
  assert(image.Size < MAX_SIZE, `${image.Size} bytes`);
  const { Entrypoint, Cmd, ExposedPorts, StopSignal, Labels } = image.Config;
  assertEquals(Entrypoint, ["/usr/local/bin/multibinder"]);
  assertEquals(Cmd, ["bind", "--sock", "/run/multibinder.sock"]);
  assertEquals(Object.keys(ExposedPorts), ["80/tcp"]);
  assertStrictEquals(StopSignal, "SIGTERM");
  assertStrictEquals(Labels["org.opencontainers.image.title"], "multibinder");
  const { code, stderr } = await engine.try("run", "--rm", "--entrypoint", "sh", MULTIBINDER);
  assertStrictEquals(code, 127, stderr);
  const added = (await filesOf(MULTIBINDER)).difference(await filesOf(DISTROLESS));
  assertEquals([...added].filter((path) => !path.endsWith("/")).toSorted(), [
    "usr/local/bin/multibinder",
    SBOM,
  ]);
  const archive = await archiveOf(MULTIBINDER);
  const program = JSON.parse(await must(["tar", "--extract", "--to-stdout", "-f", archive, SBOM]));
  assertStrictEquals(program.metadata.component.name, "multibinder");
});

/** What is in an image, as an archive. */
async function archiveOf(image: string): Promise<string> {
  const [container, archive] = [await engine.run("create", image, "x"), engine.folder.file("tar")];
  await engine.run("export", "--output", archive, container);
  await engine.run(...engine.removal, container);
  return archive;
}

/** The names of all that is in an image. */
async function filesOf(image: string): Promise<Set<string>> {
  const names = await must(["tar", "--list", "--file", await archiveOf(image)]);
  return new Set(names.split("\n"));
}

containerTest("the health check tells a binder that hangs or is gone", async () => {
  await buildImages();
  await using volume = await engine.volume();
  await using binder = await engine.start("binder", "-v", `${volume.name}:/run`, MULTIBINDER);
  await binder.waitFor(() => true);
  assertStrictEquals(await engine.check(binder), 0);
  await binder.signal("SIGSTOP");
  assertStrictEquals(await engine.check(binder), 1);
  await binder.signal("SIGCONT");
  assertStrictEquals(await engine.check(binder), 0);
  await binder.signal("SIGKILL");
  assertStrictEquals(await binder.exited(), 137);
  const { code, stderr } = await engine.try(
    ...["run", "--rm", "-v", `${volume.name}:/run`, MULTIBINDER, "healthcheck"],
  );
  assertStrictEquals(code, 1);
  assertMatch(
    stderr,
    /neither a binder nor a wrapper at \/run\/multibinder\.sock: nobody listens .*ECONNREFUSED/,
  );
});
