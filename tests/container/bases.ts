/**
 * Stand-ins for the images that ours are built from, made of Debian's packages and tagged with the real
 * names: so the Dockerfiles are built as they are, where no registry can be reached. What they are made of
 * is kept in the cache.
 */

import { exists } from "../support/files.ts";
import type { Engine } from "./containers.ts";

const CACHE = `${Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME")}/.cache`}/multibinder`;
const ROOT = new URL("../..", import.meta.url).pathname;

/** What `gcr.io/distroless/cc-debian12` has, of what matters here: the C library and no shell. */
const DISTROLESS_SCRIPT = `
apt-get download libc6 libgcc-s1
for package in *.deb; do dpkg -x "$package" root; done
cd root
mkdir -p tmp run root home/nonroot
chmod 1777 tmp
while read -r name id home; do
  echo "$name:x:$id:$id:$name:$home:/sbin/nologin" >>etc/passwd
  echo "$name:x:$id:" >>etc/group
done <<END
root 0 /root
nobody 65534 /nonexistent
nonroot 65532 /home/nonroot
END
echo "hosts: files dns" >etc/nsswitch.conf
`;

/** Debian with some packages in it already, and with no source of others: apt-get has nothing to do then. */
const debianScript = (packages: string) => `
debootstrap --variant=minbase --include=${packages} bookworm root
cd root
rm -rf var/cache/apt/archives/*.deb var/lib/apt/lists/* dev proc
mkdir dev proc
: >etc/apt/sources.list
`;

/** A root file system as a tar archive, from the cache or made by a script that fills the folder `root`. */
export async function rootArchive(name: string, script: string): Promise<string> {
  const archive = `${CACHE}/${name}.tar`;
  if (exists(archive)) return archive;
  Deno.mkdirSync(CACHE, { recursive: true });
  const folder = Deno.makeTempDirSync({ dir: CACHE, prefix: "root." });
  try {
    await must("sh", ["-ec", `cd "$0"\n${script}`, folder]);
    await must("tar", ["-C", `${folder}/root`, "-cf", `${folder}/archive`, "."]);
    Deno.renameSync(`${folder}/archive`, archive);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
  return archive;
}

/** Brings the stand-in for the base of our image into the engine's storage. */
export async function importDistroless(engine: Engine): Promise<void> {
  const archive = await rootArchive("distroless-cc-bookworm", DISTROLESS_SCRIPT);
  await engine.run("import", archive, "gcr.io/distroless/cc-debian12");
}

/** Brings in the other bases: Debian, Deno's image, the official ones of servers, and a pause container's. */
export async function importBases(engine: Engine): Promise<void> {
  const script = debianScript("haproxy,nginx-light,ca-certificates");
  const archive = await rootArchive("debian-bookworm-haproxy-nginx", script);
  await engine.run("import", archive, "docker.io/library/debian:bookworm-slim");
  await buildDeno(engine);
  await buildInline(engine, "docker.io/library/haproxy:3.2", OFFICIAL_HAPROXY);
  await buildInline(engine, "docker.io/library/nginx:stable", OFFICIAL_NGINX);
  await buildPause(engine);
}

/** Brings in Debian with servers of many kinds. @returns its name */
export async function importServers(engine: Engine): Promise<string> {
  const name = "docker.io/library/debian:servers";
  if ((await engine.try("image", "inspect", name)).code === 0) return name;
  const packages = "haproxy,lighttpd,gunicorn,uvicorn,puma,unicorn,nodejs";
  const archive = await rootArchive("debian-bookworm-servers", debianScript(packages));
  await engine.run("import", archive, name);
  return name;
}

/** Its user, its stop signal and its entry point are those of the official image. */
const OFFICIAL_HAPROXY = `
FROM docker.io/library/debian:bookworm-slim
RUN groupmod -g 99 haproxy && usermod -u 99 haproxy
USER haproxy
STOPSIGNAL SIGUSR1
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
`;

const OFFICIAL_NGINX = `
FROM docker.io/library/debian:bookworm-slim
STOPSIGNAL SIGQUIT
ENTRYPOINT ["/docker-entrypoint.sh"]
CMD ["nginx", "-g", "daemon off;"]
`;

const DENO = `
FROM docker.io/library/debian:bookworm-slim
COPY bin /usr/bin/
COPY deno-dir /deno-dir
ENV DENO_DIR=/deno-dir
`;

/** The Deno of this test run, with all in its cache that a build of the program takes from there. */
async function buildDeno(engine: Engine): Promise<void> {
  const folder = `${engine.folder.path}/deno`;
  const cache = `${CACHE}/deno-dir`;
  Deno.mkdirSync(`${folder}/bin`, { recursive: true });
  const denort = Deno.env.get("DENORT_BIN");
  if (denort) {
    const modules = ["src/main.ts", "scripts/record_digest.ts", "scripts/package/sbom.ts"];
    const commands = [...Deno.readDirSync(`${ROOT}/src/cli`)].map(({ name }) => `src/cli/${name}`);
    const all = [...modules, ...commands].map((module) => ROOT + module);
    const args = ["cache", "--quiet", "--no-check", "--frozen", ...all];
    await must(Deno.execPath(), args, { DENO_DIR: cache });
  } else {
    // A build also gets the runtime that a program is made of.
    await must(`${ROOT}/scripts/build.sh`, [`${folder}/program`], { DENO_DIR: cache });
  }
  await must("cp", ["-r", cache, `${folder}/deno-dir`]);
  await must("cp", [Deno.execPath(), `${folder}/bin/deno`]);
  if (denort) await must("cp", [denort, `${folder}/bin/denort`]);
  const dockerfile = DENO + (denort ? "ENV DENORT_BIN=/usr/bin/denort\n" : "");
  await buildInline(engine, "docker.io/denoland/deno:2.4.2", dockerfile, folder);
  Deno.removeSync(folder, { recursive: true });
}

const PAUSE_SOURCE = `
#include <signal.h>
#include <unistd.h>
static void stop(int signal) { (void)signal; _exit(0); }
int main(void) { signal(SIGTERM, stop); signal(SIGINT, stop); for (;;) pause(); }
`;

async function buildPause(engine: Engine): Promise<void> {
  const folder = `${engine.folder.path}/pause`;
  Deno.mkdirSync(folder);
  Deno.writeTextFileSync(`${folder}/pause.c`, PAUSE_SOURCE);
  await must("gcc", ["-static", "-o", `${folder}/pause`, `${folder}/pause.c`]);
  const dockerfile = `FROM scratch\nCOPY pause /\nENTRYPOINT ["/pause"]\n`;
  await buildInline(engine, "registry.k8s.io/pause:3.10", dockerfile, folder);
}

/** Builds an image from the text of its Dockerfile. */
export async function buildInline(
  engine: Engine,
  tag: string,
  dockerfile: string,
  context = engine.folder.file("empty"),
): Promise<void> {
  Deno.mkdirSync(context, { recursive: true });
  const file = engine.folder.file("Dockerfile");
  Deno.writeTextFileSync(file, dockerfile);
  await buildImage(engine, tag, file, context);
}

/** Builds an image as `docker build` would. */
export async function buildImage(
  engine: Engine,
  tag: string,
  file: string,
  context: string,
): Promise<string> {
  return await engine.run(
    ...["build", ...engine.buildOptions, "--tag", tag, "--file", file, context],
  );
}

async function must(
  program: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<void> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args: [...args], env })
    .output();
  if (success) return;
  const text = new TextDecoder();
  throw new Error(`${program} ${args.join(" ")}:\n${text.decode(stdout)}${text.decode(stderr)}`);
}
