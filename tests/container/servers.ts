/** Other servers than a templated HAProxy as what the first process of a container runs: v1 and v2 on one port. */

// deno-lint-ignore-file no-console -- what was measured is worth reading
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { Load } from "../support/http_client.ts";
import { until } from "../support/process_status.ts";
import { SERVERS, type TestServer } from "../support/servers.ts";
import { freePort, type TempDir, tempDir } from "../support/temp_dir.ts";
import { buildImage, buildInline, importServers } from "./bases.ts";
import { type Container, containerTest, engine } from "./engine.ts";
import { buildImages, EXAMPLE, MULTIBINDER } from "./images.ts";

/** Where its files are in a container. */
const FOLDER = "/site";
/** What its config says that it listens on. */
const LISTEN = { hostname: "0.0.0.0", port: 80 };

/** The words that start a server in its container. */
function commandOf(server: TestServer): string[] {
  return server.command({ reply: "", backend: 1, listen: LISTEN, folder: FOLDER });
}

/** Writes what a server of a container is to answer. */
function setReply(server: TestServer, folder: TempDir, reply: string): void {
  const files = server.files({ reply, backend: 1, listen: LISTEN, folder: FOLDER });
  for (const [name, text] of Object.entries(files)) Deno.writeTextFileSync(folder.file(name), text);
}

/** Builds the image of a server: nginx's is the example's, the others' differ in the words alone. */
async function buildServer(server: TestServer, image: string): Promise<void> {
  if (server.program === "nginx") {
    await buildImage(engine, image, `${EXAMPLE}/nginx.Dockerfile`, EXAMPLE);
    return;
  }
  const words = ["exec", "--listen", "http=:80", ...server.options ?? [], "--", server.program];
  const lines = [
    `FROM ${await importServers(engine)}`,
    `COPY --from=${MULTIBINDER} /usr/local/bin/multibinder /usr/local/bin/`,
    "STOPSIGNAL SIGTERM",
    `WORKDIR ${FOLDER}`,
    `ENTRYPOINT ${JSON.stringify(["multibinder", ...words])}`,
  ];
  await buildInline(engine, image, lines.join("\n"));
}

/** What failed, without what tests/servers finds to be a server's own loss. */
function unexpected({ dropsAccepted }: TestServer, failures: readonly string[]): string[] {
  return failures.filter((why) =>
    !(dropsAccepted && /^ConnectionReset|closed after ""$/.test(why))
  );
}

for (const server of SERVERS) {
  // With Docker, at night, each of them; at every run the one that most people have.
  if (engine.name === "podman" && server.program !== "nginx") continue;

  containerTest(`${server.name} in containers: v2 beside v1, a reload, a stop of v1`, async () => {
    await buildImages();
    const image = `server-${server.program}`;
    await buildServer(server, image);
    await using cleanup = new AsyncDisposableStack();
    const volume = cleanup.use(await engine.volume());
    const sock = ["-v", `${volume.name}:/run`, "-e", "MULTIBINDER_SOCK=/run/multibinder.sock"];
    const target = { hostname: engine.hostname, port: freePort() };
    const publish = ["-p", `${target.port}:80`];
    const bind = [...sock, ...publish, MULTIBINDER, "bind", ":80"];
    const binder = cleanup.use(await engine.start("binder", ...bind));
    await binder.waitFor(({ missing }) => missing.length === 0);
    const folders = { v1: cleanup.use(tempDir()), v2: cleanup.use(tempDir()) };
    const up = async (version: "v1" | "v2"): Promise<Container> => {
      const folder = folders[version];
      setReply(server, folder, version);
      const args = [...sock, "-v", `${folder.path}:${FOLDER}`, image];
      const name = `${server.program}-${version}`;
      const container = await engine.start(name, ...args, ...commandOf(server).slice(1));
      return await cleanup.use(container).serving();
    };

    const v1 = await up("v1");
    await using load = new Load(target, { workers: 2 });
    const answeredBy = (...replies: string[]) =>
      until(() => replies.every((reply) => load.outcome.replies.has(reply)));
    await answeredBy("v1");
    const v2 = await up("v2");
    await answeredBy("v2");
    setReply(server, folders.v2, "v3");
    await v2.signal("SIGUSR2");
    await answeredBy("v3");
    // Within the engine's ten seconds: it would be killed then, and end with 137.
    const { code, took } = await v1.stop();
    const { ok, replies } = load.outcome;
    const last = replies.get("v1");
    await until(() => load.outcome.ok >= ok + 50);
    assertStrictEquals(load.outcome.replies.get("v1"), last, "v1 has stopped and answers");
    const { failures } = await load.stop();
    const each = [...replies].map(([reply, count]) => `${count} ${reply}`).join(", ");
    console.info(`${each}, ${failures.length} failed; stop in ${Math.round(took)} ms`);
    // Puma ends by the signal that it has obeyed, unless its config has `raise_exception_on_sigterm false`.
    assertStrictEquals(code, server.program === "puma" ? 128 + 15 : 0);
    assertEquals(unexpected(server, failures), []);
    assert(ok > 100, `only ${ok} requests`);
  });
}
