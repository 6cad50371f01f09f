/** The Ruby multibinder's programs under their own names, started as its tests, units and readme start them. */

import { assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { multibinder, startBinder } from "../support/binder.ts";
import { ControlConnection } from "../support/control_client.ts";
import { textOf } from "../support/files.ts";
import { site, tag } from "../support/haproxy.ts";
import { get, newTarget } from "../support/http_client.ts";
import { until } from "../support/process_status.ts";
import { runProgram, startProgram } from "../support/program.ts";
import { loopbackHost, type TempDir, tempDir } from "../support/temp_dir.ts";
import { waitForStatus } from "../support/wait_for_status.ts";

/** Links to the program, as a package sets them. */
function link(folder: TempDir, name: string): string {
  Deno.symlinkSync(multibinder(), folder.file(name));
  return folder.file(name);
}

Deno.test("multibinder control.sock listens there, and is upgraded", async () => {
  using folder = tempDir();
  const sock = folder.file("control.sock");
  await using binder = startProgram([multibinder(), "control.sock"], { cwd: folder.path });
  await waitForStatus(binder, sock, () => true);
  binder.signal("SIGUSR1");
  await waitForStatus(binder, sock, ({ upgrades }) => upgrades === 1);
  using connection = await ControlConnection.open(sock);
  const { hostname: address, port } = newTarget();
  assertStrictEquals((await connection.bind({ address, port }))?.result, true);
  assertEquals(await binder.end("SIGTERM"), { code: 0, signal: null });
  assertEquals([...Deno.readDirSync(folder.path)], []);
});

Deno.test("multibinder-haproxy-wrapper serves, reloads, is upgraded and stops", async () => {
  using folder = tempDir();
  const wrapper = link(folder, "multibinder-haproxy-wrapper");
  await using binder = await startBinder();
  const target = newTarget();
  const write = (text: string) =>
    Deno.writeTextFileSync(folder.file("site.cfg.erb"), site(tag(target), text));
  write("one");
  const command = ["haproxy", "-Ds", "-f", "site.cfg.erb", "-p", "site.pid"];
  const control = folder.file("own.sock");
  const env = {
    MULTIBINDER_SOCK: binder.sock,
    MULTIBINDER_SETTLE: "20ms",
    MULTIBINDER_CONTROL: control,
  };
  await using program = startProgram([wrapper, ...command], { cwd: folder.path, env });
  const pidFile = () => textOf(folder.file("site.pid"));
  await until(() => pidFile() !== "");
  const [before, first] = [await get(target), pidFile()];
  write("two");
  program.signal("SIGUSR2");
  await until(() => !["", first].includes(pidFile()));
  program.signal("SIGUSR1");
  await waitForStatus(program, control, ({ upgrades }) => upgrades === 1);
  assertEquals([before, await get(target)], ["one", "two"]);
  assertEquals(await program.end("SIGTERM"), { code: 0, signal: null });
});

Deno.test("multibinder-haproxy-erb checks a config, and with --erb-write-only writes it alone", async () => {
  using folder = tempDir();
  const erb = link(folder, "multibinder-haproxy-erb");
  const config = site(tag({ hostname: loopbackHost(), port: 80 }), "ok");
  Deno.writeTextFileSync(folder.file("site.cfg.erb"), config);
  const run = (...args: string[]) => runProgram([erb, "haproxy", ...args], { cwd: folder.path });
  const check = await run("-c", "-f", "site.cfg.erb");
  assertStrictEquals(check.code, 0, check.stderr);
  Deno.removeSync(folder.file("site.cfg"));
  // No HAProxy of this name could be started.
  const words = ["/nowhere/haproxy", "-f", "site.cfg.erb", "--erb-write-only"] as const;
  const written = await runProgram([erb, ...words], { cwd: folder.path });
  assertEquals([written.code, written.stdout, written.stderr], [0, "", ""]);
  const rendered = config.replace(/<%=[^%]*%>/, "fd@3");
  assertStrictEquals(Deno.readTextFileSync(folder.file("site.cfg")), rendered);
  assertMatch((await run("-f", "site.cfg", "--erb-write-only")).stderr, /must name a template/);
});
