/** The end of a host: HAProxy before the binder, and the load balancer before both. */

// deno-lint-ignore-file no-console -- what was measured is worth reading
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { containerTest } from "../container/engine.ts";
import { get, Load } from "../support/http_client.ts";
import { hasEnded, until } from "../support/process_status.ts";
import { runProgram } from "../support/program.ts";
import { tempDir } from "../support/temp_dir.ts";
import {
  beginRequest,
  BINDER_CONFIG,
  binderConfig,
  config,
  finish,
  Host,
  TEMPLATE,
  VARIABLES,
} from "./host.ts";

/** As docs/systemd.md has it: the wrapper tells HAProxy, and HAProxy whoever asks for /healthz. */
const READY = "/run/multibinder-haproxy/site/ready.sock";
const SITE = config("V1").replace(
  "http-request wait",
  `monitor-uri /healthz
monitor fail if { nbsrv(wrapper) lt 1 }
http-request wait`,
) + `
backend wrapper
    option httpchk GET /ready
    server wrapper unix@${READY} check inter 200ms fall 1 rise 1
`;

containerTest("a poweroff under load: the load balancer sees it, and nothing is lost", async () => {
  await using host = await Host.boot();
  host.write(
    VARIABLES,
    `OPTIONS="--stop-delay 5s --metrics unix:${READY}"\n`,
  );
  host.write(BINDER_CONFIG, binderConfig(":80"));
  host.write(TEMPLATE, SITE);
  await host.run("systemctl", "enable", "--now", "multibinder", "multibinder-haproxy@site");
  const isHealthy = async () => await get(host.target, "/healthz").then(() => true, () => false);
  await until(isHealthy);
  using journal = openJournal(host);
  await using load = new Load(host.target, { workers: 2 });
  using slow = await beginRequest(host);
  await until(() => load.outcome.ok > 100);

  const poweroff = host.run("systemctl", "poweroff");
  // What a load balancer does: it asks now and then, and sends nobody there once it has been told.
  await until(async () => !await isHealthy());
  await poweroff;
  const { ok, failures } = await load.stop();
  console.info(`until the load balancer has looked away: ${ok} ok, ${failures.length} failed`);
  assertEquals(failures, []);
  assertStrictEquals(await finish(slow), "V1", "what is under way ends well");
  await until(() => hasEnded(host.init));
  const lines = await linesOf(journal);
  const at = (pattern: RegExp) => lines.findIndex((line) => pattern.test(line));
  const stopped = at(/^Stopped multibinder-haproxy@site\.service/);
  assert(
    stopped >= 0 && stopped < at(/^Stopping multibinder\.service/),
    lines.slice(-60).join("\n"),
  );
});

/** Opens the file of a host's journal: open, it outlives the host, and whoever reads inside is ended with it. */
function openJournal({ init }: Host): Deno.FsFile {
  const root = `/proc/${init}/root`;
  const folder = `${root}/var/log/journal`;
  const [machine] = Deno.readDirSync(folder);
  assert(machine);
  return Deno.openSync(`${folder}/${machine.name}/system.journal`);
}

/** The messages in such a file. */
async function linesOf(journal: Deno.FsFile): Promise<string[]> {
  using folder = tempDir();
  const copy = folder.file("system.journal");
  await Deno.writeFile(copy, journal.readable);
  const words = ["journalctl", "--no-pager", "--output=cat", "--file", copy] as const;
  const { code, stdout, stderr } = await runProgram(words);
  assertStrictEquals(code, 0, stderr);
  return stdout.split("\n");
}
