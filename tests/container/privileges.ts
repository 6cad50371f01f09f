/** Containers that may do little: other users than root, no capabilities, a root file system to read. */

import { assertNotStrictEquals, assertStrictEquals } from "@std/assert";
import { buildImage } from "./bases.ts";
import { containerTest, engine } from "./engine.ts";
import { buildImages, EXAMPLE, MULTIBINDER } from "./images.ts";
import { Site } from "./site.ts";

/** A user of no name, in the group of the official HAProxy image's user. */
const USER = "65532:99";
/** A volume that this user may write to. */
const OWN_VOLUME = [
  "--opt",
  "type=tmpfs",
  "--opt",
  "device=tmpfs",
  "--opt",
  "o=uid=65532,mode=0755",
];

/** What lets a binder without root have port 80; Docker does by itself. */
const PORT_80 = engine.name === "docker" ? [] : ["--cap-add", "NET_BIND_SERVICE"];
const SYSCTL = ["--sysctl", "net.ipv4.ip_unprivileged_port_start=0"];

containerTest("nobody is root, nobody has a capability, and every root is read-only", async () => {
  const bound = ["--user", USER, "--cap-drop", "all", ...engine.readOnly];
  await using site = await Site.start({
    binder: [...bound, ...PORT_80],
    args: ["--group", "99", "--mode", "0660", ":80"],
    volume: OWN_VOLUME,
  });
  const who = ["-e", "MULTIBINDER_BINDER_UID=65532"];
  const v1 = await site.up("v1", [
    ...who,
    "--cap-drop",
    "all",
    ...engine.readOnly,
    "--tmpfs",
    "/tmp",
  ]);
  assertStrictEquals(await site.get(), "V1");
  assertStrictEquals(await site.binder.user(), 65532);
  assertStrictEquals(await v1.user(), 99);
  await v1.signal("SIGUSR2");
  await site.serves("v1", 2);
  assertStrictEquals((await site.down("v1")).code, 0);

  // The other way to have that port.
  await using volume = await engine.volume(...OWN_VOLUME);
  const command = [...bound, ...SYSCTL, "-v", `${volume.name}:/run`, MULTIBINDER, "bind", ":80"];
  await using other = await engine.start("other", ...command);
  await other.waitFor(({ sockets }) => sockets[0]?.address === "0.0.0.0:80");
});

containerTest(
  "the control socket is for its group: HAProxy of another user is refused",
  async () => {
    await using site = await Site.start({ args: ["--group", "99", "--mode", "0660", ":80"] });
    await site.up("v1");
    assertStrictEquals(await site.get(), "V1");
    const stranger = await site.launch("v2", ["--user", "1000:1000"]);
    assertStrictEquals(await stranger.exited(), 1);
    await stranger.log.waitFor(/no permission \(EACCES\); see the binder's --mode and --group/);
  },
);

containerTest("the site runs on Debian's HAProxy", async () => {
  await buildImages();
  const image = "site-debian";
  await buildImage(engine, image, `${EXAMPLE}/haproxy.debian.Dockerfile`, EXAMPLE);
  // Its group haproxy has another number.
  const args = ["--mode", "0666", "--allow-uid", "*", ":80"];
  await using site = await Site.start({ image, args });
  const v1 = await site.up("v1");
  assertStrictEquals(await site.get(), "V1");
  assertNotStrictEquals(await v1.user(), 0);
  assertStrictEquals((await site.down("v1")).code, 0);
});
