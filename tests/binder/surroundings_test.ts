/** What a binder's surroundings become while it runs: an upgrade must not end it for that. */

import { assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { multibinder, startBinder } from "../support/binder.ts";
import { newTarget } from "../support/http_client.ts";
import { runProgram } from "../support/program.ts";
import { tempDir } from "../support/temp_dir.ts";

async function upgrade(sock: string) {
  return await runProgram([multibinder(), "upgrade", "--sock", sock]);
}

Deno.test("a limit on the size of files fails an upgrade, and ends no binder", async () => {
  const { hostname, port } = newTarget();
  // Of a pipe, to which a log is written, there is no such limit; of the file in memory for a successor there is.
  await using binder = await startBinder([`${hostname}:${port}`], {
    through: ["prlimit", "--fsize=0"],
  });
  const { code, stderr } = await upgrade(binder.sock);
  assertStrictEquals(code, 1);
  assertMatch(stderr, /upgrade failed, \S+ goes on: .*EFBIG/);
  const { sockets } = await binder.waitFor(() => true);
  assertEquals(sockets.map(({ address }) => address), [`${hostname}:${port}`]);
});

Deno.test("a binder whose folder was removed is upgraded as any other", async () => {
  using folder = tempDir();
  Deno.mkdirSync(folder.file("release"));
  const { hostname, port } = newTarget();
  await using binder = await startBinder([`${hostname}:${port}`], { cwd: folder.file("release") });
  Deno.removeSync(folder.file("release"));
  const { code, stderr } = await upgrade(binder.sock);
  assertStrictEquals(code, 0, stderr);
  await binder.waitFor(({ upgrades, sockets }) => upgrades === 1 && sockets.length === 1);
});
