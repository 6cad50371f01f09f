import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { leavesNoDescriptors } from "../../tests/support/descriptors.ts";
import { deadMark, startGeneration } from "../../tests/support/generation.ts";
import type { Program } from "../../tests/support/program.ts";
import { loopbackHost } from "../../tests/support/temp_dir.ts";
import { ignoreUnless } from "../../tests/support/users.ts";
import { SYS_PIDFD_GETFD } from "../../ffi/constants.ts";
import { libc } from "../../ffi/libc.ts";
import { socketCookie } from "../../ffi/socket.ts";
import { createLog } from "../log.ts";
import type { HeldSocket } from "./sockets.ts";
import { listeningSocketsOf } from "./orphan_sockets.ts";
import { findOrphans, type Orphan } from "./orphans.ts";

/** Listens on two ports, or twice on one, by sockets 3 and 4 that the user named makes; has a connection and a file open. */
const LISTENER = `
import os, socket, sys, signal
host, user, shares = sys.argv[1:]
before = os.geteuid()
os.seteuid(int(user))
ports = (8000, 8000) if shares == "yes" else (8000, 8001)
sockets = [socket.create_server((host, port), reuse_port=shares == "yes") for port in ports]
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
  { user = Deno.uid(), lent, shares = false }: {
    user?: number | null;
    lent?: string;
    shares?: boolean;
  },
  use: (sockets: HeldSocket[], orphan: Program) => Promise<void> | void,
): Promise<string[]> {
  const service = `/etc/${crypto.randomUUID()}.cfg.eta`;
  const argv = ["python3", "-c", LISTENER, host, String(user), shares ? "yes" : "no"] as const;
  await using orphan = startGeneration(service, await deadMark(), argv, lent);
  await orphan.waitFor(/^up$/);
  const lines: string[] = [];
  const log = createLog({ format: "text", level: "info" }, (line) => lines.push(line));
  const orphans: Orphan[] = findOrphans(service, log);
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
  name: "of sockets that share an address, each is taken for its own share",
  ignore: ignoreUnless(MAY_TRACE, "this user may not look into its processes"),
  async fn() {
    const address = loopbackHost();
    await takeOver(address, { lent: "2", shares: true }, (sockets) => {
      assertEquals(
        sockets.map(({ param }) => param),
        ["1/2", "2/2"].map((reuseport) => ({ address, port: 8000, options: { reuseport } })),
      );
      const [first, second] = sockets.map(({ fd }) => socketCookie(fd));
      assert(first !== second);
    });
  },
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
      const why = "sockets are not taken over: neither root nor this user made them";
      assertEquals(logged, [`warn ${why} pid=PID uids=65534`]);
    }),
});

/** Has descriptors on which calls fail, and then a listening socket. */
const STRANGE = `
import os, socket, signal, sys
host, port = sys.argv[1], int(sys.argv[2])
for family, kind, protocol in (
    (44, socket.SOCK_RAW, 0),                               # AF_XDP
    (socket.AF_PACKET, socket.SOCK_RAW, 0),
    (socket.AF_NETLINK, socket.SOCK_RAW, 0),
    (38, socket.SOCK_SEQPACKET, 0),                         # AF_ALG
    (socket.AF_UNIX, socket.SOCK_SEQPACKET, 0),
    (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
):
    try:
        socket.socket(family, kind, protocol).detach()
    except OSError as error:
        print("no family", family, error, file=sys.stderr)
os.memfd_create("memory")
os.pipe()
os.open("/proc/self", os.O_PATH)
listening = socket.create_server((host, port))
print("up", listening.fileno(), flush=True)
signal.pause()
`;

Deno.test({
  name: "descriptors on which calls fail concern nobody, and the socket behind them is taken over",
  ignore: ignoreUnless(Deno.uid() === 0, "such sockets need root"),
  fn: () =>
    leavesNoDescriptors(async () => {
      const service = `/etc/${crypto.randomUUID()}.cfg.eta`;
      const host = loopbackHost();
      const argv = ["python3", "-c", STRANGE, host, "8000"] as const;
      await using orphan = startGeneration(service, await deadMark(), argv, "100");
      const [, number] = await orphan.waitFor(/^up (\d+)$/);
      assert(Number(number) > 8, `${orphan.stderr}: none of the families is there`);
      const lines: string[] = [];
      const log = createLog({ format: "text", level: "debug" }, (line) => lines.push(line));
      const orphans = findOrphans(service, log);
      const sockets = listeningSocketsOf(orphans, log);
      assertEquals(sockets.map(({ param }) => param), [{ address: host, port: 8000 }]);
      assertEquals(lines, []);
      sockets.forEach(({ fd }) => fd.close());
      orphans.forEach(({ process }) => process.close());
    }),
});

/** Has many sockets of a stranger, whose close would wait. */
const LINGERING = `
import encodings.idna, os, socket, signal, struct, sys
host, count = sys.argv[1], int(sys.argv[2])
os.seteuid(65534)
listening = socket.create_server((host, 8000))
kept = []
for _ in range(count):
    one = socket.create_connection((host, 8000))
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
    kept.append(one)
print("up", flush=True)
signal.pause()
`;

Deno.test({
  name: "of a stranger's descriptors none is ever copied, so that none has to be closed",
  ignore: ignoreUnless(Deno.uid() === 0, "to be another user needs root"),
  fn: async () => {
    const service = `/etc/${crypto.randomUUID()}.cfg.eta`;
    const argv = ["python3", "-c", LINGERING, loopbackHost(), "50"] as const;
    await using orphan = startGeneration(service, await deadMark(), argv, "1000");
    await orphan.waitFor(/^up$/);
    const log = createLog({ format: "text", level: "error" }, () => {});
    const orphans = findOrphans(service, log);
    using copies = countCopies();
    assertEquals(listeningSocketsOf(orphans, log), []);
    assertStrictEquals(copies.count, 0);
    orphans.forEach(({ process }) => process.close());
  },
});

/** Counts the calls of pidfd_getfd, until the end of the scope. */
function countCopies(): { count: number } & Disposable {
  const functions = libc();
  const original = functions.syscall;
  const counter = {
    count: 0,
    [Symbol.dispose]: () => Object.defineProperty(functions, "syscall", { value: original }),
  };
  const counting: typeof original = (number, ...rest) => {
    if (number === BigInt(SYS_PIDFD_GETFD)) counter.count++;
    return original(number, ...rest);
  };
  Object.defineProperty(functions, "syscall", { configurable: true, value: counting });
  return counter;
}
