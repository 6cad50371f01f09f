/** The image: what is in it, and its health check. */

// deno-lint-ignore-file no-console -- what was measured is worth reading
import { assert, assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { format } from "@std/fmt/bytes";
import { type Container, containerTest, DISTROLESS, engine } from "./engine.ts";
import { buildImages, MULTIBINDER } from "./images.ts";

/** Bytes that the image may have. */
const MAX_SIZE = 130_000_000;

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
  for (const program of ["sh", "bash", "apt-get", "dpkg", "busybox"]) {
    const { code, stderr } = await engine.try("run", "--rm", "--entrypoint", program, MULTIBINDER);
    assertStrictEquals(code, 127, stderr);
  }
  const changes = await engine.run("diff", MULTIBINDER, DISTROLESS);
  assertEquals(changes.split("\n").filter((line) => line.startsWith("A ")), [
    "A /usr/local",
    "A /usr/local/bin",
    "A /usr/local/bin/multibinder",
  ]);
});

containerTest("the health check tells a binder that hangs or is gone", async () => {
  await buildImages();
  await using volume = await engine.volume();
  await using binder = await engine.start("binder", "-v", `${volume.name}:/run`, MULTIBINDER);
  await binder.log.waitFor(/listening for binds/);
  assertStrictEquals(await check(binder), 0);
  await binder.signal("SIGSTOP");
  assertStrictEquals(await check(binder), 1);
  await binder.signal("SIGCONT");
  assertStrictEquals(await check(binder), 0);
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

async function check(container: Container): Promise<number> {
  return (await engine.try("healthcheck", "run", container.name)).code;
}
