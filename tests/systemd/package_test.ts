/** The Debian package, on a host with real systemd: installed, upgraded under traffic, removed and purged. */

import { assert, assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { containerTest } from "../container/engine.ts";
import { multibinder } from "../support/binder.ts";
import { get, Load } from "../support/http_client.ts";
import { assertNoneFailed } from "../support/outcome.ts";
import { type TempDir, tempDir } from "../support/temp_dir.ts";
import { BINDER, BINDER_CONFIG, config, CONTROL, HAPROXY, Host, TEMPLATE } from "./host.ts";

const SCRIPT = new URL("../../scripts/package.sh", import.meta.url).pathname;

/** Runs a program that takes its time, and must succeed. @returns what it prints */
async function must(program: string, ...args: string[]): Promise<string> {
  const env = { MULTIBINDER_BIN: multibinder() };
  const { success, stdout, stderr } = await new Deno.Command(program, { args, env }).output();
  const text = new TextDecoder();
  assert(success, `${program} ${args.join(" ")}: ${text.decode(stdout)}${text.decode(stderr)}`);
  return text.decode(stdout);
}

/** Of the packages that several tests use. */
const shared = tempDir();
globalThis.addEventListener("unload", () => shared[Symbol.dispose]());
let made: Promise<unknown> | undefined;

/** Makes packages once for all tests. @returns their folder, and the path of the Debian one */
async function madeOnce(): Promise<{ folder: string; deb: string }> {
  const folder = shared.file("packages");
  await (made ??= must(SCRIPT, "1", folder));
  const deb = [...Deno.readDirSync(folder)].find(({ name }) => name.endsWith(".deb"));
  assert(deb !== undefined);
  return { folder, deb: `${folder}/${deb.name}` };
}

/** The same package under a higher version. */
async function newer(folder: TempDir, deb: string): Promise<void> {
  const root = folder.file("root");
  await must("dpkg-deb", "-R", deb, root);
  const control = `${root}/DEBIAN/control`;
  const text = Deno.readTextFileSync(control);
  Deno.writeTextFileSync(control, text.replace(/^Version: .*-1$/m, "$&.1"));
  await must("dpkg-deb", "-Znone", "--root-owner-group", "--build", root, folder.file("new.deb"));
}

Deno.test("a build from the same files in another folder has the same bytes", async () => {
  using folder = tempDir();
  const root = new URL("../..", import.meta.url).pathname;
  const parts = ["deno.json", "deno.lock", "ffi", "scripts", "src", "types"];
  await must("cp", "-r", ...parts.map((part) => `${root}/${part}`), folder.path);
  await must(`${folder.path}/scripts/build.sh`, folder.file("multibinder"));
  await must("cmp", folder.file("multibinder"), multibinder());
});

containerTest("docs/start.md, typed in its order", async () => {
  const page = Deno.readTextFileSync(new URL("../../docs/start.md", import.meta.url));
  const steps = [...page.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, script = ""]) => script);
  assertStrictEquals(steps.length, 5);
  const { folder } = await madeOnce();
  await using host = await Host.bootPlain(["-v", `${folder}:/packages:ro`]);
  const type = async () => {
    // There is no network, and HAProxy is installed already.
    const install = /^apt-get install -y (\S+)( haproxy)?$/m;
    const script = steps.shift()?.replace(install, "dpkg --install $1") ?? "";
    return await host.run("bash", "-ec", `cd /packages\n${script}`);
  };
  await type();
  assertMatch(await type(), /^nothing is wrong; 1 address to hold\nbinder [^]* 0\.0\.0\.0:80 /);
  await type();
  assertStrictEquals(await get(host.target), "hello");
  await type();
  assertStrictEquals(await get(host.target), "hello again");
  assertMatch(await type(), /^binder [^]*upgraded[^]*^wrapper [^]*upgraded/m);
});

containerTest("installed, upgraded under traffic, removed and purged", async () => {
  using next = tempDir();
  const { folder, deb } = await madeOnce();
  await newer(next, deb);
  const mounts = [`${folder}:/packages:ro`, `${next.path}:/next:ro`];
  await using host = await Host.bootPlain(mounts.flatMap((mount) => ["-v", mount]));
  await host.run("sh", "-c", "dpkg --install /packages/*.deb");
  assertStrictEquals(await host.run("systemctl", "is-active", BINDER), "active");
  assertStrictEquals(await host.run("systemctl", "is-enabled", BINDER), "enabled");
  assertMatch(await host.run("id", "multibinder"), /^uid=\d+\(multibinder\)/);
  const units = ["multibinder.socket", BINDER, "multibinder-haproxy@.service"];
  const paths = units.map((unit) => `/lib/systemd/system/${unit}`);
  assertEquals((await host.try("systemd-analyze", "verify", ...paths)).stderr, "");

  // What one writes is a config, and a reload says what is new in it.
  const settings = `addresses = [":80"]\nallow-gid = ["multibinder"]\nadopt-uid = ["haproxy"]\n`;
  host.write(BINDER_CONFIG, settings);
  await host.run("systemctl", "reload", BINDER);
  assertMatch(
    (await host.log(BINDER)).join("\n"),
    /^bound 0\.0\.0\.0:80; changed who may connect/m,
  );
  host.write(TEMPLATE, config("hello"));
  await host.run("systemctl", "enable", "--now", HAPROXY);
  assertStrictEquals(await get(host.target), "hello");

  const pids = () => Promise.all([BINDER, HAPROXY].map((unit) => host.show(unit, "MainPID")));
  const [before, sockets] = [await pids(), await host.listening(BINDER)];
  await using load = new Load(host.target, { workers: 2 });
  await host.run("dpkg", "--install", "/next/new.deb");
  assertEquals([await pids(), await host.listening(BINDER)], [before, sockets]);
  for (const sock of ["/run/multibinder.sock", CONTROL]) {
    const status = await host.run("multibinder", "status", "--sock", sock, "--json");
    assertStrictEquals(JSON.parse(status).upgrades, 1, sock);
  }
  assertNoneFailed("upgrade of the package", await load.stop());

  await host.run("dpkg", "--remove", "multibinder");
  for (const unit of [BINDER, HAPROXY, "multibinder.socket"]) {
    assertStrictEquals((await host.try("systemctl", "is-active", unit)).stdout.trim(), "inactive");
  }
  assertStrictEquals(
    await host.run("cat", BINDER_CONFIG),
    settings.trim(),
    "a changed config is kept",
  );
  await host.run("dpkg", "--purge", "multibinder");
  const left =
    "ls -d /etc/multibinder /usr/bin/multibinder* /usr/share/doc/multibinder /run/multibinder.sock";
  assertStrictEquals((await host.try("sh", "-c", left)).stdout, "");
});
