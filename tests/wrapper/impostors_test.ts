/** Processes that say of themselves that a wrapper has started them, and a wrapper that is told it is one. */

import { assert, assertEquals, assertMatch, assertNotMatch, assertStrictEquals } from "@std/assert";
import { startBinder } from "../support/binder.ts";
import { deadMark, startGeneration } from "../support/generation.ts";
import { site, startWrapper, tag } from "../support/haproxy.ts";
import { get } from "../support/http_client.ts";
import { hasEnded, processStatus, until } from "../support/process_status.ts";
import { runProgram, startProgram } from "../support/program.ts";
import { wrapperStatus } from "../support/status.ts";
import { loopbackHost, tempDir } from "../support/temp_dir.ts";
import { ignoreUnless, UNPRIVILEGED } from "../support/users.ts";

const ignore = ignoreUnless(Deno.uid() === 0, "to be another user needs root");

/** Fills its descriptors from 3 on: one on which calls fail, then many whose close would wait. */
const HOSTILE = `
import encodings.idna, os, socket, signal, struct, sys
try:
    strange = socket.socket(44, socket.SOCK_RAW, 0)  # AF_XDP
except OSError:
    strange = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
assert strange.fileno() == 3
if "65534" not in open("/proc/self/uid_map").read():
    os.seteuid(65534)
listening = socket.create_server(("127.0.0.1", 8000), backlog=4000)
kept = []
for _ in range(int(sys.argv[1])):
    one = socket.socket()
    one.setblocking(False)
    one.connect_ex(("127.0.0.1", 8000))
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
    try:
        one.send(b"x" * 100000)
    except OSError:
        pass
    kept.append(one)
print("up", flush=True)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGTERM})
print("got", signal.sigwait({signal.SIGUSR1, signal.SIGTERM}), flush=True)
`;

const [BECOME = "", ...OPTIONS] = UNPRIVILEGED;

/** How such a process is started: by a stranger, who in a user namespace of his own is root; or by root. */
const STARTS = [
  ["a stranger's process", [BECOME, ...OPTIONS, "unshare", "--user", "--map-root-user", "--net"]],
  ["a stranger's sockets in a process of root's", ["unshare", "--net"]],
] as const;

for (const [what, through] of STARTS) {
  Deno.test({
    name: `${what}: it neither ends nor delays the start of root's wrapper`,
    ignore,
    async fn() {
      const target = { hostname: loopbackHost(), port: 80 };
      await using binder = await startBinder();
      await using first = await startWrapper(site(tag(target), "first"), { sock: binder.sock });
      await first.program.end("SIGTERM");
      const hostile = `ip link set lo up 2>/dev/null; exec python3 -c "$0" "$@"`;
      const argv = ["env", "PATH=/usr/bin:/bin:/usr/sbin:/sbin", "sh", "-c", hostile];
      await using stranger = startGeneration(
        first.path,
        await deadMark(),
        ["prlimit", "--nofile=5000:5000", ...through, ...argv, HOSTILE, "4000"],
        "5000",
      );
      await stranger.waitFor(/^up$/);
      await using next = await startWrapper("", {
        sock: binder.sock,
        command: ["haproxy", "-f", first.path],
      });
      assertStrictEquals(await get(target), "first");
      const why = /not taken over: neither root nor this user made them .*uids=65534/;
      if (through[0] === BECOME) assertNotMatch(next.program.stderr, / taking over /);
      else assertMatch(next.program.stderr, why);
      assertMatch(processStatus(next.program.pid, "State") ?? "", /^[RS]/);
    },
  });
}

/** Has a pipe that nobody writes to, and that looks like a generation's file of marks. */
const PIPE = `
import ctypes, os, signal, sys, tempfile
libc = ctypes.CDLL(None)
folder = tempfile.mkdtemp()
assert libc.unshare(0x20000) == 0  # CLONE_NEWNS
assert libc.mount(b"none", b"/", None, 0x44000, None) == 0  # MS_REC | MS_PRIVATE
assert libc.mount(b"none", folder.encode(), b"tmpfs", 0, None) == 0
path = folder + "/memfd:multibinder-generation"
os.mkfifo(path)
pipe = os.open(path, os.O_RDWR)
os.unlink(path)
assert libc.umount2(folder.encode(), 2) == 0  # MNT_DETACH
os.rmdir(folder)
print(os.readlink("/proc/self/fd/%d" % pipe), flush=True)
signal.pause()
`;

Deno.test({
  name: "a pipe that looks like a generation's file of marks is not waited for",
  ignore,
  async fn() {
    const target = { hostname: loopbackHost(), port: 80 };
    await using binder = await startBinder();
    // The marks of a process without an environment are looked for in a file that it has open.
    await using piped = startProgram(["env", "-i", "/usr/bin/python3", "-c", PIPE]);
    await piped.waitFor(/^\/memfd:multibinder-generation \(deleted\)$/);
    await using _wrapper = await startWrapper(site(tag(target), "ok"), { sock: binder.sock });
    assertStrictEquals(await get(target), "ok");
  },
});

Deno.test({
  name: "a set-uid program that a stranger has started is not signalled",
  ignore,
  async fn() {
    using folder = tempDir();
    const target = { hostname: loopbackHost(), port: 80 };
    await using binder = await startBinder();
    await using first = await startWrapper(site(tag(target), "first"), { sock: binder.sock });
    const setUid = folder.file("set-uid");
    Deno.copyFileSync("/bin/sleep", setUid);
    Deno.chmodSync(setUid, 0o4755);
    const [program = "", ...options] = UNPRIVILEGED;
    const dead = await deadMark();
    const argv = [program, ...options, setUid, "1000"] as const;
    await using privileged = startGeneration(first.path, dead, argv);
    await until(() => processStatus(privileged.pid, "Uid") === "65534\t0\t0\t0");
    const { pid: orphan } = await first.serving();
    await first.program.end("SIGKILL");
    await using next = await startWrapper("", {
      sock: binder.sock,
      command: ["haproxy", "-f", first.path],
    });
    // What the dead wrapper has left is retired, and nothing else.
    await until(() => hasEnded(orphan));
    assertMatch(next.program.stderr, new RegExp(` taking over from what it left pids=${orphan}\n`));
    assertMatch(processStatus(privileged.pid, "State") ?? "", /^S/);
  },
});

Deno.test("a wrapper with the marks of a generation in its environment is not its own orphan", async () => {
  const target = { hostname: loopbackHost(), port: 80 };
  await using binder = await startBinder();
  await using first = await startWrapper(site(tag(target), "first"), { sock: binder.sock });
  await using marked = await startWrapper("", {
    sock: binder.sock,
    command: ["haproxy", "-f", first.path],
    env: {
      MULTIBINDER_SERVICE: first.path,
      MULTIBINDER_WRAPPER: await deadMark(),
      MULTIBINDER_SOCKETS: "1",
    },
  });
  // Nor is it the orphan of another wrapper.
  await using other = await startWrapper("", {
    sock: binder.sock,
    command: ["haproxy", "-f", first.path],
  });
  for (const { program } of [marked, other]) assertNotMatch(program.stderr, /has died/);
  const { generations, upgrades } = await wrapperStatus(marked.control);
  assertStrictEquals(upgrades, 0);
  assertEquals(generations.map(({ state }) => state), ["serving"]);
});

const MAY_UNSHARE_TIME = (await runProgram(
  ["unshare", "--time", "--boottime", "1000", "--fork", "true"],
)).code === 0;

Deno.test({
  name: "a wrapper in another time namespace sees that the first one lives",
  ignore: ignoreUnless(MAY_UNSHARE_TIME, "this user may make no time namespace"),
  async fn() {
    const target = { hostname: loopbackHost(), port: 80 };
    await using binder = await startBinder();
    await using first = await startWrapper(site(tag(target), "first"), { sock: binder.sock });
    await using second = await startWrapper("", {
      sock: binder.sock,
      command: ["haproxy", "-f", first.path],
      through: ["unshare", "--time", "--boottime", "1000000", "--fork", "--kill-child"],
    });
    assertNotMatch(second.program.stderr, /has died/);
    assert(processStatus((await first.serving()).pid, "State"));
    assertStrictEquals((await first.reload()).ok, true);
  },
});
