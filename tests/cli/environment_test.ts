/** What the environment says is checked before it is believed. */

import { assert, assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { multibinder, startBinder } from "../support/binder.ts";
import { site, startWrapper, tag } from "../support/haproxy.ts";
import { get, newTarget } from "../support/http_client.ts";
import { runProgram, startProgram } from "../support/program.ts";
import { ask, wrapperStatus } from "../support/status.ts";
import { tempDir } from "../support/temp_dir.ts";
import { ignoreUnless } from "../support/users.ts";
import { waitForStatus } from "../support/wait_for_status.ts";

const FORGED = new URL("../support/forged_state.py", import.meta.url).pathname;

/** Starts a binder that must not start. @param script sets variables and descriptors, and execs "$@" */
async function refused(script: string, why: RegExp): Promise<void> {
  using folder = tempDir();
  const bind = [multibinder(), "bind", "--sock", folder.file("sock")];
  const { code, signal, stderr } = await runProgram(["sh", "-c", script, "sh", ...bind]);
  assertEquals({ code, signal }, { code: 2, signal: null }, `${script}\n${stderr}`);
  assertMatch(stderr, /^multibinder: the environment has [^\n]*\n$/, "one line");
  assertMatch(stderr, why);
  assertEquals([...Deno.readDirSync(folder.path)], []);
}

Deno.test("LISTEN_FDS without the descriptors is an error, not the runtime's own descriptors", async () => {
  const passes: [script: string, why: RegExp][] = [
    [
      'LISTEN_FDS=1 exec "$@" 3<&-',
      /LISTEN_FDS="1" .* descriptor 3 (is not open|was not passed on)/,
    ],
    ['LISTEN_FDS=9 exec "$@" 3<&-', /descriptor 3 (is not open|was not passed on)/],
    ['LISTEN_FDS=1 exec "$@" 3</dev/null', /descriptor 3 is no socket/],
    ['LISTEN_FDS=1 exec "$@" 3</', /descriptor 3 is no socket/],
    ['LISTEN_FDS=many exec "$@"', /LISTEN_FDS="many" .* no number of descriptors/],
    ['LISTEN_FDS=-1 exec "$@"', /no number of descriptors/],
    ['LISTEN_FDS= exec "$@"', /no number of descriptors/],
    ['LISTEN_FDS=1000000 exec "$@"', /no number of descriptors/],
  ];
  for (const [script, why] of passes) await refused(`export LISTEN_PID=$$; ${script}`, why);
});

Deno.test("LISTEN_FDS for another process is nothing to this one", async () => {
  const through = ["sh", "-c", 'LISTEN_PID=1 LISTEN_FDS=1 exec "$0" "$@" 3</dev/null'];
  await using binder = await startBinder([], { through });
  assertEquals(await binder.program.end("SIGTERM"), { code: 0, signal: null });
});

Deno.test("MULTIBINDER_STATE_FD that no upgrade has set is an error, and closes nothing", async () => {
  for (
    const value of ["garbage", "", "-1", "1e1", "0x3", "99999999999", "3:", "2", "0", "3", "1023"]
  ) {
    await refused(
      `MULTIBINDER_STATE_FD='${value}' exec "$@" </dev/null`,
      /has MULTIBINDER_STATE_FD="[^"]*", which is not believed: .*; unset it$/m,
    );
  }
  const state = '{"role":"binder","version":1,"held":[],"clients":[]}';
  await refused(`echo '${state}' | MULTIBINDER_STATE_FD=0 "$@"`, /descriptor 0 is no memfd/);
});

Deno.test("a state is believed only from a sealed memfd of this very process and its user", {
  ignore: ignoreUnless(Deno.uid() === 0, "to be two users needs root"),
}, async () => {
  const forged: [how: string, why: RegExp | undefined][] = [
    ["unsealed", /is not the memfd of an upgrade/],
    ["of another process", /it is the state of process \d+, and this is \d+/],
    ["of another user", /uid 65534 made it/],
    ["in a file", /is no memfd/],
    // The control: the same state is whole, and believed from the process itself.
    ["right", undefined],
  ];
  for (const [how, why] of forged) {
    using folder = tempDir();
    const sock = folder.file("sock");
    await using program = startProgram(
      ["python3", FORGED, how, sock, multibinder(), "bind", "--sock", sock],
    );
    if (why === undefined) {
      await waitForStatus(program, sock, ({ upgrades }) => upgrades > 0);
      assertStrictEquals((await program.end("SIGTERM")).code, 0);
    } else {
      assertStrictEquals((await program.exited).code, 2, how);
      assertMatch(program.stderr, why);
      assert(Deno.lstatSync(sock).isSocket, "the file that it names is still there");
    }
  }
});

Deno.test("a wrapper in the environment of another one's server is no orphan of itself", async () => {
  const target = newTarget();
  await using binder = await startBinder();
  // The marks of a generation of the same config, whose wrapper is dead.
  const marks = "MULTIBINDER_WRAPPER=999999999:1 MULTIBINDER_SOCKETS=1 MULTIBINDER_STATE_FD";
  const script = `export MULTIBINDER_SERVICE="$PWD/site.cfg.eta" ${marks}; exec "$0" "$@"`;
  await using wrapper = await startWrapper(site(tag(target), "here"), {
    sock: binder.sock,
    through: ["sh", "-c", script],
  });
  assertStrictEquals((await ask("reload", wrapper.control)).code, 0);
  assertStrictEquals(await get(target), "here");
  const { upgrades, lastUpgrade, generations } = await wrapperStatus(wrapper.control);
  assertEquals({ upgrades, lastUpgrade }, { upgrades: 0, lastUpgrade: null });
  const { pid } = wrapper.program;
  assert(generations.length > 0);
  for (const { pid: server } of generations.filter(({ state }) => state === "serving")) {
    const environment = Deno.readTextFileSync(`/proc/${server}/environ`).split("\0");
    assert(environment.some((line) => line === `MULTIBINDER_WRAPPER=${pid}`));
    assert(!environment.some((line) => line.startsWith("MULTIBINDER_STATE_FD=")));
  }
});
