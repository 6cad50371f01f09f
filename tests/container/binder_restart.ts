/** The binder's container is restarted: what that does to its sockets is a matter of whose namespace it is. */

import { assertNotStrictEquals, assertStrictEquals } from "@std/assert";
import { Load } from "../support/http_client.ts";
import { assertNoneFailed } from "../support/outcome.ts";
import { Container, containerTest, engine } from "./engine.ts";
import { Site } from "./site.ts";

/** Options of a HAProxy that a binder takes sockets back from, since both are root. */
const ROOT = ["--user", "0", "--cap-drop", "all"];

containerTest(
  "restarts of a binder in the namespace of a pause container lose no connection",
  async () => {
    await using site = await Site.start({ pause: true, args: [":80"] });
    const v1 = await site.up("v1", ROOT);
    const net = new Container(engine, "site-net");
    const inode = listeningInode(await net.pid());
    await using load = new Load(site.target, { workers: 3 });
    for (const restart of [1, 2]) {
      await engine.run("restart", site.binder.name);
      await site.binder.waitFor(({ missing }) => missing.length === 0);
      assertStrictEquals(listeningInode(await net.pid()), inode);
      await v1.signal("SIGUSR2");
      await site.serves("v1", restart + 1);
    }
    // A new client of the last binder gets that socket too.
    await site.up("v2", ROOT);
    await site.answeredBy("v2");
    assertStrictEquals(listeningInode(await net.pid()), inode);
    assertNoneFailed("restarts of the binder", await load.stop());
  },
);

containerTest("without a pause container the restart of a binder cuts its site off", async () => {
  await using site = await Site.start({ args: [":80"] });
  const v1 = await site.up("v1", ROOT);
  await using load = new Load(site.target, { workers: 2 });
  await engine.run("restart", site.binder.name);
  await v1.log.waitFor(/ the binder does not take a socket back .*another network namespace/);
  assertNotStrictEquals((await load.stop()).failures.length, 0);
});

/** The inode of the one socket that listens on port 80 in a process's network namespace. */
function listeningInode(pid: number): string {
  const rows = Deno.readTextFileSync(`/proc/${pid}/net/tcp`).split("\n")
    .map((row) => row.trim().split(/\s+/));
  // Columns of proc_pid_net(5): address and port in hexadecimal, state 0A is TCP_LISTEN.
  const found = rows.filter(([, local, , state]) => local?.endsWith(":0050") && state === "0A");
  assertStrictEquals(found.length, 1);
  return found[0]?.[9] ?? "";
}
