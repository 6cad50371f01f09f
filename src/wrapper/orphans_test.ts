import { assert, assertEquals, assertStrictEquals, fail } from "@std/assert";
import { leavesNoDescriptors } from "../../tests/support/descriptors.ts";
import { childrenOf, processStatus, until } from "../../tests/support/process_status.ts";
import { type Program, startProgram } from "../../tests/support/program.ts";
import { loopbackHost } from "../../tests/support/temp_dir.ts";
import { ignoreUnless } from "../../tests/support/users.ts";
import { openProcess } from "../../ffi/pidfd.ts";
import { Poller } from "../../ffi/poll.ts";
import { createLog } from "../log.ts";
import type { Service, StoppingProcess } from "../servers/service.ts";
import type { HeldSocket } from "./binder_link.ts";
import { findOrphans, listeningSocketsOf, marksOf, type Orphan, retireOrphan } from "./orphans.ts";
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

/** A program with the marks of a generation. */
function startGeneration(
  service: string,
  wrapper: string,
  argv: readonly [string, ...string[]] = ["sleep", "1000"],
  lent = "1",
): Program {
  return startProgram(argv, {
    env: {
      MULTIBINDER_SERVICE: service,
      MULTIBINDER_WRAPPER: wrapper,
      MULTIBINDER_SOCKETS: lent,
    },
  });
}

/** The mark of a process, as {@link marksOf} makes it. */
function markOf(pid: number): string {
  const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).replace(/^.*\) /s, "").split(" ");
  return `${pid}:${fields[19]}`;
}

/** The mark of a process that has ended. */
async function deadMark(): Promise<string> {
  await using program = startProgram(["sleep", "1000"]);
  return markOf(program.pid);
}

/** The pids of the orphans found. */
function foundFor(service: string): number[] {
  return findOrphans(service).map(({ pid, process }) => {
    process.close();
    return pid;
  });
}

Deno.test("the marks name this process, the time of its start, and what it lends", () => {
  assertEquals(marksOf("/etc/site.cfg.eta", 2), {
    MULTIBINDER_SERVICE: "/etc/site.cfg.eta",
    MULTIBINDER_WRAPPER: markOf(Deno.pid),
    MULTIBINDER_SOCKETS: "2",
  });
});

Deno.test("generations of a dead wrapper are found, those of one that lives are not", async () => {
  await leavesNoDescriptors(async () => {
    const service = newService();
    const dead = await deadMark();
    await using orphan = startGeneration(service, dead);
    await using second = startGeneration(service, dead);
    await using _ours = startGeneration(service, marksOf(service, 0).MULTIBINDER_WRAPPER ?? "");
    await using _theirs = startGeneration(service, markOf(orphan.pid));
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
  const [, started] = markOf(Deno.pid).split(":");
  await using orphan = startGeneration(service, `${Deno.pid}:${Number(started) - 1}`);
  assertEquals(foundFor(service), [orphan.pid]);
});

Deno.test("a wrapper that is dead but not reaped watches over nobody", async () => {
  // The child ends at once, and the program that its parent becomes knows nothing of it.
  await using parent = startProgram(["sh", "-c", "exit 0 & exec sleep 1000"]);
  const isZombie = (pid: number) => processStatus(pid, "State")?.startsWith("Z") ?? false;
  await until(() => childrenOf(parent.pid).some(isZombie));
  const [zombie = 0] = childrenOf(parent.pid);
  const service = newService();
  await using orphan = startGeneration(service, markOf(zombie));
  assertEquals(foundFor(service), [orphan.pid]);
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
  prepareStop?: Service["prepareStop"],
): Promise<string[]> {
  const process = openProcess(server.pid) ?? fail("it does not run");
  const lines: string[] = [];
  const log = createLog({ format: "text", level: "info" }, (line) => lines.push(line));
  await retireOrphan(
    { pid: server.pid, process },
    { ...SERVICE, ...(prepareStop && { prepareStop }) },
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

Deno.test("what must precede a soft stop is done first, unless the drain is to end", async () => {
  for (const end of ["done", "failed", "aborted"] as const) {
    await using server = startProgram(["python3", "-c", SERVER, "SIGTERM"]);
    await server.waitFor(/^up$/);
    const stop = new AbortController();
    const preparation = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<StoppingProcess>();
    const retired = retire(server, LONG, LONG, stop.signal, (stopping) => {
      asked.resolve(stopping);
      return preparation.promise;
    });
    const { pid, othersServe, signal } = await asked.promise;
    assertEquals({ pid, othersServe }, { pid: server.pid, othersServe: true });
    signal("SIGHUP");
    await server.waitFor(/^got SIGHUP$/);
    assertEquals(server.stdout.includes("SIGUSR1"), false);
    if (end === "done") preparation.resolve();
    if (end === "failed") preparation.reject(new Error("no such thread"));
    if (end === "aborted") stop.abort();
    await server.waitFor(/^got SIGUSR1$/);
    stop.abort();
    const lines = await retired;
    assertEquals(lines.some((line) => line.includes('error="no such thread"')), end === "failed");
    assertStrictEquals((await server.exited).code, 0);
    assertEquals(signal("SIGHUP"), false, "nobody else is signalled");
    preparation.resolve();
  }
});

Deno.test("without a drain time the stop is hard at once", async () => {
  await using server = startProgram(["python3", "-c", SERVER, "SIGTERM"]);
  await server.waitFor(/^up$/);
  await retire(server, 0, LONG);
  assertStrictEquals((await server.exited).code, 0);
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

/** Listens on two ports, by sockets 3 and 4 that the user named makes; has a connection and a file open. */
const LISTENER = `
import os, socket, sys, signal
host, user = sys.argv[1:]
before = os.geteuid()
os.seteuid(int(user))
sockets = [socket.create_server((host, port)) for port in (8000, 8001)]
os.seteuid(before)
assert [one.fileno() for one in sockets] == [3, 4]
client = socket.create_connection((host, 8000))
other = open("/dev/null")
print("up", flush=True)
signal.pause()
`;

/** Whether this user may look into its own processes (yama's ptrace_scope). */
const MAY_TRACE = Deno.uid() === 0 || (() => {
  try {
    return Deno.readTextFileSync("/proc/sys/kernel/yama/ptrace_scope").trim() === "0";
  } catch {
    return true;
  }
})();

/** What is taken over from a process that has the marks of an orphan, and what is logged. */
async function takeOver(
  host: string,
  { user = Deno.uid(), lent }: { user?: number | null; lent?: string },
  use: (sockets: HeldSocket[], orphan: Program) => Promise<void> | void,
): Promise<string[]> {
  const service = newService();
  const argv = ["python3", "-c", LISTENER, host, String(user)] as const;
  await using orphan = startGeneration(service, await deadMark(), argv, lent);
  await orphan.waitFor(/^up$/);
  const lines: string[] = [];
  const log = createLog({ format: "text", level: "info" }, (line) => lines.push(line));
  const orphans: Orphan[] = findOrphans(service);
  assertEquals(orphans.map(({ pid }) => pid), [orphan.pid]);
  const sockets = listeningSocketsOf(orphans, log);
  orphans.forEach(({ process }) => process.close());
  await use(sockets, orphan);
  sockets.forEach(({ fd }) => fd.close());
  return lines.map((line) =>
    line.replace(/^\S+ /, "").trim().replace(`pid=${orphan.pid}`, "pid=PID")
  );
}

Deno.test({
  name: "the listening sockets that an orphan was lent outlive it",
  ignore: ignoreUnless(MAY_TRACE, "this user may not look into its processes"),
  fn: () =>
    leavesNoDescriptors(async () => {
      const host = loopbackHost();
      const logged = await takeOver(host, { lent: "2" }, async (sockets, orphan) => {
        assert(sockets.every(({ fd }) => fd.closeOnExec));
        assertEquals(sockets.map(({ param }) => param), [
          { address: host, port: 8000 },
          { address: host, port: 8001 },
        ]);
        orphan.signal("SIGKILL");
        await orphan.exited;
        (await Deno.connect({ hostname: host, port: 8000 })).close();
      });
      assertEquals(logged, []);
    }),
});

Deno.test({
  name: "what an orphan has bound by itself is left to it",
  ignore: ignoreUnless(MAY_TRACE, "this user may not look into its processes"),
  fn: () =>
    leavesNoDescriptors(async () => {
      const host = loopbackHost();
      const cases: [lent: string, ports: number[]][] = [["1", [8000]], ["0", []], ["x", []]];
      for (const [lent, ports] of cases) {
        await takeOver(host, { lent }, (sockets) => {
          assertEquals(sockets.map(({ param }) => param.port), ports);
        });
      }
    }),
});

Deno.test({
  name: "a socket that another user has made is not taken, whatever its holder calls itself",
  ignore: ignoreUnless(Deno.uid() === 0, "to be another user needs root"),
  fn: () =>
    leavesNoDescriptors(async () => {
      const host = loopbackHost();
      const logged = await takeOver(host, { user: 65534 }, (sockets) => {
        assertEquals(sockets, []);
      });
      const why = "not taken over: neither root nor this user made it";
      assertEquals(logged, [`warn ${why} address=${host}:8000 pid=PID uid=65534`]);
    }),
});
