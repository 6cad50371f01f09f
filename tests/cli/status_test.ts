/** `multibinder status`, `reload` and `upgrade`: what they print, and what they say when they cannot. */

import { assert, assertEquals, assertMatch, assertNotMatch, assertStrictEquals } from "@std/assert";
import { multibinder, startBinder } from "../support/binder.ts";
import { site, startWrapper, tag } from "../support/haproxy.ts";
import { runProgram } from "../support/program.ts";
import { ask, binderStatus, wrapperStatus } from "../support/status.ts";
import { loopbackHost, type TempDir, tempDir } from "../support/temp_dir.ts";
import { ignoreUnless, UNPRIVILEGED } from "../support/users.ts";
import { VERSION } from "../../src/version.ts";

const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

Deno.test("status of a binder and of a wrapper, as JSON and for people", async () => {
  const target = { hostname: loopbackHost(), port: 80 };
  const address = `${target.hostname}:80`;
  await using binder = await startBinder([address, `udp:${address}`]);
  await using wrapper = await startWrapper(site(tag(target), "ok"), { sock: binder.sock });
  const { control } = wrapper;
  const { connections, requests, clients, uptimeSeconds, ...rest } = await binderStatus(
    binder.sock,
  );
  assert([connections, requests, clients].every((count) => count > 0));
  assert(uptimeSeconds >= 0 && uptimeSeconds < 60);
  const [tcp, udp] = rest.sockets;
  assertEquals(rest, {
    role: "binder",
    version: VERSION,
    pid: binder.program.pid,
    sock: binder.sock,
    sockets: [
      { address, backlog: 1000, queue: tcp?.queue, holders: [wrapper.program.pid] },
      { address: `udp:${address}`, backlog: 1000, holders: [] },
    ],
    missing: [],
    troubles: [],
    wrappers: rest.wrappers,
    errors: 0,
    upgrades: 0,
    lastUpgrade: null,
  });
  const [attached] = rest.wrappers;
  const { pid: server } = await wrapper.serving();
  assertEquals(
    [attached?.pid, attached?.uid, attached?.service, attached?.generations],
    [wrapper.program.pid, Deno.uid(), wrapper.path, [{ number: 1, pid: server, state: "serving" }]],
  );
  assertEquals(Object.keys(tcp?.queue ?? {}).sort(), ["length", "limit"]);
  assertStrictEquals(udp?.queue, undefined);

  const { generation: number, pid } = await wrapper.serving();
  const { uptimeSeconds: _, lastReload, ...own } = await wrapperStatus(control);
  const [generation] = own.generations;
  assert(generation?.ageSeconds !== undefined && generation.ageSeconds < 60);
  assertEquals(own, {
    role: "wrapper",
    version: VERSION,
    pid: wrapper.program.pid,
    service: wrapper.path,
    binder: { sock: binder.sock, connected: true },
    sockets: [{ address }],
    generations: [{ number, pid, state: "serving", ageSeconds: generation.ageSeconds }],
    upgrades: 0,
    lastUpgrade: null,
  });
  assertEquals([lastReload?.ok, lastReload?.message], [true, "generation 1 serves"]);
  assertMatch(lastReload?.at ?? "", ISO_TIME);

  wrapper.template = "nonsense";
  assertStrictEquals((await ask("reload", control)).code, 1);
  assertStrictEquals((await ask("upgrade", control)).code, 0);
  const { lastUpgrade } = await wrapperStatus(control);
  assertMatch(lastUpgrade?.at ?? "", ISO_TIME);
  for (const args of [["unbind", ":80"], ["render", "--strict", wrapper.path]] as const) {
    wrapper.template = `${tag(target)}\n`;
    const { code, stderr } = await runProgram([multibinder(), ...args, "--sock", control]);
    assertStrictEquals(code, 1);
    assertMatch(stderr, /it is a wrapper, or an older binder; name a binder's control socket\n$/);
  }
  // The wording is tested beside its code; here, that a person is shown what the roles have.
  const forPeople = (await ask("status", control)).stdout;
  const wanted = [
    `^wrapper ${VERSION}, pid ${wrapper.program.pid}, up \\d`,
    `^  service +${wrapper.path}$`,
    `^  binder +${binder.sock}, connected$`,
    `^  address\n  ${address}$`,
    `^  ${number} +${pid} +serving +\\d+s$`,
    "^  last reload +failed .* ago, at \\S+Z: HAProxy refused the config",
    "^  upgrades +1$",
    `^  last upgrade +.* ago, at .*upgraded from ${VERSION} to ${VERSION}$`,
  ];
  for (const line of wanted) assertMatch(forPeople, new RegExp(line, "m"));
  const ofBinder = (await ask("status", binder.sock)).stdout;
  assertMatch(ofBinder, new RegExp(`^  ${address} +1000 +\\d of \\d+ +\\d+`, "m"));
  assertMatch(ofBinder, /^ {2}last upgrade +none$/m);
  for (const text of [forPeople, ofBinder]) assert(!text.includes("\x1b"), "this is no terminal");
  const words = `${multibinder()} status --sock ${control}`;
  const onTerminal = (NO_COLOR: string) =>
    runProgram(["script", "-qec", words, "/dev/null"], { env: { NO_COLOR } });
  assert((await onTerminal("")).stdout.includes("\x1b[32mserving"), "green on a terminal");
  assert(!(await onTerminal("1")).stdout.includes("\x1b"), "NO_COLOR is obeyed");
});

Deno.test("an address that steers a terminal is shown as text, and exactly with --json", async () => {
  using folder = tempDir();
  await using binder = await startBinder();
  const path = folder.file("\x1b[31mred\n  0.0.0.0:22\x9b.sock");
  const address = `unix:${path}`;
  const bound = await runProgram([
    multibinder(),
    "render",
    "--strict",
    ...["--sock", binder.sock, writeTemplate(folder, address)],
  ]);
  assertStrictEquals(bound.code, 0, bound.stderr);
  assertEquals((await binderStatus(binder.sock)).sockets.map((one) => one.address), [address]);
  const status = await ask("status", binder.sock);
  const unbound = await runProgram([multibinder(), "unbind", "--sock", binder.sock, address]);
  const failed = await runProgram([multibinder(), "unbind", "--sock", binder.sock, address]);
  assertEquals([status.code, unbound.code, failed.code], [0, 0, 1]);
  for (const text of [status.stdout, unbound.stdout, failed.stderr]) {
    assertMatch(text, /\\u001b\[31mred\\n {2}0\.0\.0\.0:22\\u009b/);
    assertNotMatch(text, /[^\P{Cc}\n]/u);
  }
});

/** A template that needs one socket. */
function writeTemplate(folder: TempDir, address: string): string {
  const path = folder.file("template.eta");
  Deno.writeTextFileSync(path, `<%= bind(${JSON.stringify(address)}) %>`);
  return path;
}

Deno.test("where nobody answers, or somebody else, each command says so and exits with 1", async () => {
  using folder = tempDir();
  await using binder = await startBinder();
  const [missing, file, dead] = [folder.file("missing"), folder.file("file"), folder.file("dead")];
  Deno.writeTextFileSync(file, "");
  {
    await using killed = await startBinder([], { sock: dead });
    await killed.program.end("SIGKILL");
  }
  const rude = folder.file("rude");
  using listener = Deno.listen({ transport: "unix", path: rude });
  const rudeness = (async () => {
    for await (const connection of listener) connection.close();
  })();
  const cases: [string, RegExp][] = [
    [missing, /at \S+missing: there is no such file \(ENOENT\)/],
    [file, /at \S+file: .*\(ECONNREFUSED\)/],
    [dead, /at \S+dead: nobody listens .*\(ECONNREFUSED\)/],
    [rude, /\/rude (?:closed the connection without an answer|failed: .*)/],
    [folder.file("x".repeat(200)), /the path has \d+ bytes, and a UNIX socket's has at most 107/],
  ];
  for (const command of ["status", "reload", "upgrade"] as const) {
    for (const [path, why] of cases) {
      const { code, stderr, stdout } = await ask(command, path);
      assertEquals([code, stdout], [1, ""], `${command} ${path}`);
      assertMatch(stderr, why, command);
    }
  }
  const reload = await ask("reload", binder.sock);
  assertStrictEquals(reload.code, 1);
  assertMatch(reload.stderr, /reload failed, all is as before: .*config/);
  listener.close();
  await rudeness;
});

Deno.test({
  name: "another user may see the status, and nothing else",
  ignore: ignoreUnless(UNPRIVILEGED.length > 0, "to be another user needs root"),
  async fn() {
    const target = { hostname: loopbackHost(), port: 80 };
    await using binder = await startBinder([], {
      args: ["--mode", "0666", "--allow-uid", "65534"],
    });
    await using wrapper = await startWrapper(site(tag(target), "ok"), { sock: binder.sock });
    const { control } = wrapper;
    const askAsNobody = (command: string, sock: string) => {
      const [first = "", ...rest] = [...UNPRIVILEGED, multibinder(), command, "--sock", sock];
      return runProgram([first, ...rest]);
    };
    assertStrictEquals((await askAsNobody("status", binder.sock)).code, 0);
    const upgrade = await askAsNobody("upgrade", binder.sock);
    assertStrictEquals(upgrade.code, 1);
    assertMatch(upgrade.stderr, /Not permitted/);
    assertStrictEquals((await binderStatus(binder.sock)).lastUpgrade, null);
    // A wrapper's control socket is its owner's alone, until that one opens it.
    assertMatch((await askAsNobody("status", control)).stderr, /EACCES/);
    Deno.chmodSync(control, 0o666);
    assertStrictEquals((await askAsNobody("status", control)).code, 0);
    for (const command of ["reload", "upgrade"]) {
      assertMatch((await askAsNobody(command, control)).stderr, /Not permitted/);
    }
  },
});
