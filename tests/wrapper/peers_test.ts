/** What HAProxy's generations tell each other as peers, with each HAProxy that Debian has. */

import { assertEquals, assertStrictEquals } from "@std/assert";
import { startBinder } from "../support/binder.ts";
import { debianProgram } from "../support/debian_program.ts";
import { startWrapper, tag } from "../support/haproxy.ts";
import { get, newTarget } from "../support/http_client.ts";
import { until } from "../support/process_status.ts";
import { freePort, tempDir } from "../support/temp_dir.ts";

/** A new HAProxy waits for five seconds for each of two kinds of peers that could have tables for it. */
const PATIENCE = 30_000;

/** What HAProxy answers to one question at its socket. */
async function ask(path: string, question: string): Promise<string> {
  using connection = await Deno.connect({ transport: "unix", path });
  await connection.write(new TextEncoder().encode(`${question}\n`));
  return await new Response(connection.readable).text();
}

/** A site whose requests are counted in a table, and the count after a reload. */
async function countAfterReload(env: { PATH: string }): Promise<number> {
  using folder = tempDir();
  await using binder = await startBinder();
  const target = newTarget();
  const template = [
    "global",
    "localpeer me",
    `stats socket ${folder.file("stats")} level admin`,
    "defaults",
    "mode http",
    "timeout connect 5s",
    "timeout client 30s",
    "timeout server 30s",
    "peers mine",
    `bind ${target.hostname}:${freePort()}`,
    "server me",
    "backend seen",
    "stick-table type ip size 1k expire 10m store http_req_cnt peers mine",
    "frontend site",
    `bind ${tag(target)}`,
    "http-request track-sc0 src table seen",
    'http-request return status 200 content-type text/plain lf-string "%[sc0_http_req_cnt]"',
    "",
  ].join("\n");
  await using wrapper = await startWrapper(template, { sock: binder.sock, env });
  assertStrictEquals(await get(target), "1");
  // Before that it tells a successor nothing of its tables; see docs/servers.md.
  const isDone = async () =>
    /resync_timeout=<PAST>/.test(await ask(folder.file("stats"), "show peers"));
  await until(isDone, PATIENCE);
  assertStrictEquals((await wrapper.reload()).ok, true);
  await wrapper.drained();
  return Number(await get(target));
}

const found = await Promise.all(
  ["bookworm", "trixie", "sid"].map((release) => debianProgram(release, "haproxy")),
);
// Which of them cannot be had has been said.
const environments = found.filter(({ ignore }) => !ignore).map(({ env }) => env);

Deno.test({
  name: "with a section `peers`, stick tables outlive a reload",
  ignore: environments.length === 0,
  async fn() {
    assertEquals(await Promise.all(environments.map(countAfterReload)), environments.map(() => 2));
  },
});
