import { assert, assertEquals, assertMatch, assertStrictEquals, fail } from "@std/assert";
import { leavesNoDescriptors } from "../../tests/support/descriptors.ts";
import { childrenOf, processStatus, until } from "../../tests/support/process_status.ts";
import { deadMark, startGeneration } from "../../tests/support/generation.ts";
import { type Program, startProgram } from "../../tests/support/program.ts";
import { tempDir } from "../../tests/support/temp_dir.ts";
import { silentLog } from "../../tests/support/local_binder.ts";
import { ignoreUnless, UNPRIVILEGED } from "../../tests/support/users.ts";
import { openProcess } from "../../ffi/pidfd.ts";
import { Poller } from "../../ffi/poll.ts";
import { createLog } from "../log.ts";
import { findOrphans, retireOrphan } from "./orphans.ts";
import { marksFor } from "../process/marks.ts";
import type { SoftStop } from "./soft_stop.ts";

/** Milliseconds that no test needs: it would fail. */
const LONG = 20_000;
const NEVER = new AbortController().signal;
const poller = new Poller();
const SERVICE = { stopSignals: { soft: "SIGUSR1", hard: "SIGTERM" } } as const;
const TELL: SoftStop["tell"] = (_pid, send) => send("SIGUSR1");

/** A service that no other test has. */
function newService(): string {
  return `/etc/${crypto.randomUUID()}.cfg.eta`;
}

/** The pids of the orphans found. */
function foundFor(service: string): number[] {
  return findOrphans(service, silentLog).map(({ pid, process }) => {
    process.close();
    return pid;
  });
}

Deno.test("the marks name this process, and what it lends", () => {
  assertEquals(marksFor("/etc/site.cfg.eta", 3, 2), {
    MULTIBINDER_SERVICE: "/etc/site.cfg.eta",
    MULTIBINDER_WRAPPER: String(Deno.pid),
    MULTIBINDER_GENERATION: "3",
    MULTIBINDER_SOCKETS: "2",
  });
});

Deno.test("generations of a dead wrapper are found, those of one that lives are not", async () => {
  await leavesNoDescriptors(async () => {
    const service = newService();
    const dead = await deadMark();
    await using orphan = startGeneration(service, dead);
    await using second = startGeneration(service, dead);
    await using _ours = startGeneration(service, marksFor(service, 1, 0).MULTIBINDER_WRAPPER ?? "");
    // Of a wrapper that lives, with a process of the server between them.
    const nested = "export MULTIBINDER_WRAPPER=$$; sh -c 'sleep 1000; true'; true";
    await using theirs = startGeneration(service, "", ["sh", "-c", nested]);
    await until(() => childrenOf(theirs.pid).flatMap(childrenOf).length > 0);
    await using _otherService = startGeneration(`${service}.other`, dead);
    await using _unmarked = startProgram(["sleep", "1000"], {
      env: { MULTIBINDER_SERVICE: service },
    });
    await using _mention = startProgram(["sleep", "1000"], {
      env: { NOTE: `MULTIBINDER_SERVICE=${service}`, MULTIBINDER_WRAPPER: dead },
    });
    assertEquals(foundFor(service).sort(), [orphan.pid, second.pid].sort());
  });
});

Deno.test("a wrapper's pid that is another process's by now does not stand for it", async () => {
  const service = newService();
  await using other = startProgram(["sleep", "1000"]);
  await using orphan = startGeneration(service, String(other.pid));
  assertEquals(foundFor(service), [orphan.pid]);
});

Deno.test("a wrapper that is dead but not reaped watches over nobody", async () => {
  // The child ends at once, and the program that its parent becomes knows nothing of it.
  await using parent = startProgram(["sh", "-c", "exit 0 & exec sleep 1000"]);
  const isZombie = (pid: number) => processStatus(pid, "State")?.startsWith("Z") ?? false;
  await until(() => childrenOf(parent.pid).some(isZombie));
  const [zombie = 0] = childrenOf(parent.pid);
  const service = newService();
  await using orphan = startGeneration(service, String(zombie));
  assertEquals(foundFor(service), [orphan.pid]);
});

Deno.test("the marks of older wrappers are understood: the time of their start does not matter", async () => {
  const service = newService();
  await using _ours = startGeneration(service, `${Deno.pid}:1`);
  await using orphan = startGeneration(service, `${await deadMark()}:1`);
  assertEquals(foundFor(service), [orphan.pid]);
});

Deno.test("a wrapper that was started with the marks is no orphan, this program least of all", async () => {
  const service = newService();
  const argv = [Deno.execPath(), "eval", "console.log('up'); setInterval(() => {}, 1000)"] as const;
  await using same = startGeneration(service, await deadMark(), argv);
  await same.waitFor(/^up$/);
  assertEquals(foundFor(service), []);
});

Deno.test({
  name: "what a stranger has executed is no orphan, nor is a set-uid program that he has",
  ignore: ignoreUnless(Deno.uid() === 0, "to be another user needs root"),
  fn: async () => {
    using folder = tempDir();
    Deno.chmodSync(folder.path, 0o755);
    const service = newService();
    const dead = await deadMark();
    const setUid = folder.file("set-uid");
    Deno.copyFileSync("/bin/sleep", setUid);
    Deno.chmodSync(setUid, 0o4755);
    const [first = "", ...rest] = UNPRIVILEGED;
    await using stranger = startGeneration(service, dead, [first, ...rest, "sleep", "1000"]);
    await using privileged = startGeneration(service, dead, [first, ...rest, setUid, "1000"]);
    await until(() => processStatus(stranger.pid, "Uid") === "65534\t65534\t65534\t65534");
    await until(() => processStatus(privileged.pid, "Uid") === "65534\t0\t0\t0");
    // A server that root has started, and that has become another user by itself, is one.
    const becomes = "import os, signal; os.setuid(65534); print('up', flush=True); signal.pause()";
    await using orphan = startGeneration(service, dead, ["python3", "-c", becomes]);
    await orphan.waitFor(/^up$/);
    assertEquals(foundFor(service), [orphan.pid]);
  },
});

Deno.test("marks that are no marks are nobody's", async () => {
  const service = newService();
  await using _empty = startGeneration(service, "");
  await using _colon = startGeneration(service, ":");
  assertEquals(foundFor(service), []);
});

const MAY_UNSHARE = new Deno.Command("unshare", {
  args: ["--pid", "--fork", "true"],
  stderr: "null",
}).outputSync().success;

Deno.test({
  name: "a generation in a container is its own wrapper's, whatever the pid is here",
  ignore: ignoreUnless(MAY_UNSHARE, "this user may make no pid namespace"),
  fn: async () => {
    const service = newService();
    const marks = [`MULTIBINDER_SERVICE=${service}`, `MULTIBINDER_WRAPPER=${await deadMark()}`];
    const program = ["env", ...marks, "sleep", "1000"];
    await using container = startProgram(["unshare", "--pid", "--fork", ...program]);
    const isInside = (pid: number) =>
      Deno.readTextFileSync(`/proc/${pid}/environ`).includes(service);
    await until(() => childrenOf(container.pid).some(isInside));
    assertEquals(foundFor(service), []);
  },
});

/** Says which signals it gets; ends by those named. */
const SERVER = `
import signal, sys
signals = {signal.SIGUSR1, signal.SIGTERM, signal.SIGHUP}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
print("up", flush=True)
while True:
    name = signal.Signals(signal.sigwait(signals)).name
    print("got", name, flush=True)
    if name in sys.argv: sys.exit(0)
`;

/** Retires a server as an orphan. @returns what was logged */
async function retire(
  server: Program,
  drain: number,
  hardStopTime: number,
  endDrain: AbortSignal = NEVER,
): Promise<string[]> {
  const process = openProcess(server.pid) ?? fail("it does not run");
  const lines: string[] = [];
  const log = createLog({ format: "text", level: "info" }, (line) => lines.push(line));
  await retireOrphan(
    { pid: server.pid, process },
    SERVICE,
    TELL,
    drain,
    endDrain,
    poller,
    log,
    hardStopTime,
  );
  assert(process.closed);
  return lines.map((line) => line.replace(/^\S+ /, "").trim());
}

Deno.test("an orphan drains, is stopped hard at the cap, and killed in the end", async () => {
  const cases = [
    { ends: ["SIGUSR1"], drain: LONG, hard: LONG, code: 0, says: ["SIGUSR1"] },
    { ends: ["SIGTERM"], drain: 50, hard: LONG, code: 0, says: ["SIGUSR1", "SIGTERM"] },
    { ends: [], drain: 50, hard: 50, code: 137, says: ["SIGUSR1", "SIGTERM"] },
  ];
  for (const { ends, drain, hard, code, says } of cases) {
    await using server = startProgram(["python3", "-c", SERVER, ...ends]);
    await server.waitFor(/^up$/);
    const logged = await retire(server, drain, hard);
    assertStrictEquals((await server.exited).code, code);
    const got = [...server.stdout.matchAll(/^got (.*)$/gm)].map(([, name]) => name);
    assertEquals(got, says);
    const pid = server.pid;
    const reminders = says.slice(0, code === 0 ? says.length - 1 : says.length)
      .map((after) =>
        `warn a generation of a wrapper that died does not end pid=${pid} after=${after}`
      );
    assertEquals(logged, [
      `info draining a generation of a wrapper that died pid=${pid}`,
      ...reminders,
      `info drained pid=${pid}`,
    ]);
  }
});

Deno.test("a drain that is to end early does, whether it has begun or not", async () => {
  for (const hasBegun of [true, false]) {
    await using server = startProgram(["python3", "-c", SERVER, "SIGTERM"]);
    await server.waitFor(/^up$/);
    const stop = new AbortController();
    if (!hasBegun) stop.abort();
    const retired = retire(server, LONG, LONG, stop.signal);
    await server.waitFor(/^got SIGUSR1$/);
    stop.abort();
    assertStrictEquals((await retired).at(-1), `info drained pid=${server.pid}`);
    assertStrictEquals((await server.exited).code, 0);
  }
});

Deno.test("without a drain time the stop is hard at once", async () => {
  await using server = startProgram(["python3", "-c", SERVER, "SIGTERM"]);
  await server.waitFor(/^up$/);
  await retire(server, 0, LONG);
  assertStrictEquals((await server.exited).code, 0);
});

Deno.test({
  name: "an orphan that runs a stranger's program by now is not signalled",
  ignore: ignoreUnless(Deno.uid() === 0, "to be another user needs root"),
  fn: async () => {
    const become = [...UNPRIVILEGED, "sleep", "1000"].join(" ");
    await using server = startProgram(["sh", "-c", `read line; exec ${become}`], {
      stdin: "piped",
    });
    const process = openProcess(server.pid) ?? fail("it does not run");
    await server.write("\n");
    await until(() => processStatus(server.pid, "Name") === "sleep");
    const lines: string[] = [];
    const log = createLog({ format: "text", level: "warn" }, (line) => lines.push(line));
    const orphan = { pid: server.pid, process };
    await retireOrphan(orphan, SERVICE, TELL, LONG, NEVER, poller, log, 1);
    assertStrictEquals(lines.length, 1);
    assertMatch(lines[0] ?? "", /left alone: it runs a program that is not ours to stop by now/);
    assertMatch(processStatus(server.pid, "State") ?? "", /^[RS]/);
  },
});

Deno.test("an orphan that has ended meanwhile is left alone", async () => {
  await using server = startProgram(["sleep", "1000"]);
  const process = openProcess(server.pid) ?? fail("it does not run");
  server.signal("SIGKILL");
  await server.exited;
  const log = createLog({ format: "text", level: "warn" }, (line) => fail(line));
  const orphan = { pid: server.pid, process };
  await retireOrphan(orphan, SERVICE, TELL, LONG, NEVER, poller, log);
  assert(process.closed);
});
