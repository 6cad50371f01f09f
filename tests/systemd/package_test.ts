/** The Debian package, on a host with real systemd: installed, upgraded under traffic, removed and purged. */

import { assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { containerTest } from "../container/engine.ts";
import { multibinder } from "../support/binder.ts";
import { get, Load } from "../support/http_client.ts";
import { assertNoneFailed } from "../support/outcome.ts";
import { type TempDir, tempDir } from "../support/temp_dir.ts";
import { BINDER, BINDER_CONFIG, config, CONTROL, HAPROXY, Host, TEMPLATE } from "./host.ts";
import { madeOnce, must } from "./packages.ts";

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
