/** A wrapper on a binder of the original multibinder, which answers one address a request. */

import { assertEquals } from "@std/assert";
import { site, startWrapper, tag } from "../support/haproxy.ts";
import { get, newTarget } from "../support/http_client.ts";
import { listeningSockets } from "../support/process.ts";
import { startProgram } from "../support/program.ts";
import { tempDir } from "../support/temp_dir.ts";

const ORIGINAL = new URL("../support/original_binder.py", import.meta.url).pathname;

Deno.test("a config with several binds starts, and reloads, on the original's sockets", async () => {
  using folder = tempDir();
  const sock = folder.file("sock");
  await using binder = startProgram(["python3", ORIGINAL, sock]);
  await binder.waitFor(/^listening$/);
  const first = newTarget();
  const targets = [first, { ...first, port: first.port + 1 }, { ...first, port: first.port + 2 }];
  await using wrapper = await startWrapper(site(targets.map(tag), "one"), { sock });
  const held = new Set(listeningSockets(binder.pid).map(({ inode }) => inode));
  const lent = async () => {
    const { pid } = await wrapper.serving();
    return listeningSockets(pid).filter(({ inode }) => held.has(inode)).length;
  };
  assertEquals(await lent(), targets.length);
  for (const target of targets) assertEquals(await get(target), "one");
  // A fourth one, which is bound then.
  targets.push({ ...first, port: first.port + 3 });
  wrapper.template = site(targets.map(tag), "two");
  assertEquals((await wrapper.reload()).ok, true);
  for (const target of targets) assertEquals(await get(target), "two");
  assertEquals(await lent(), targets.length - 1, "and the same ones as before");
});
