/** A server that multibinder does not know: what it gets, how it tells that it is up, and what goes wrong. */

import { assert, assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { startBinder } from "../support/binder.ts";
import { textOf } from "../support/files.ts";
import { ANSWER, Scene } from "../support/generic_scene.ts";
import { wrapperCommand, type WrapperOptions } from "../support/haproxy.ts";
import { newTarget } from "../support/http_client.ts";
import { until } from "../support/process_status.ts";
import { runProgram } from "../support/program.ts";
import { hasFuse, Stranger } from "../support/stranger.ts";
import { loopbackHost, tempDir } from "../support/temp_dir.ts";
import { ignoreUnless } from "../support/users.ts";

Deno.test("it has its sockets from 3 on, and is told of them in every way", async () => {
  await using binder = await startBinder();
  const further = loopbackHost();
  const args = ["--listen", `my-tls=${further}:61081`, "--listen", `${further}:61082`];
  const words = ["{http}", "fd://{my-tls}", "{{http}}", "{port61082}"];
  await using scene = new Scene(binder.sock, ANSWER(""), args, words);
  const { pid } = await scene.wrapper.serving();
  const given = await scene.given();
  assertStrictEquals(given.pid, pid);
  assertEquals(given.told, {
    LISTEN_PID: `${pid}`,
    LISTEN_FDS: "3",
    LISTEN_FDNAMES: "http:my-tls:port61082",
    FD_HTTP: "3",
    FD_MY_TLS: "4",
    FD_PORT61082: "5",
  });
  assertEquals(given.words, ["3", "fd://4", "{http}", "5"]);
  // The last one holds the marks of a generation.
  assertEquals(given.fds, [0, 1, 2, 3, 4, 5, 6]);
  const { sockets } = await scene.wrapper.waitFor(() => true);
  assertEquals(sockets.length, 3);
});

Deno.test("what runs before the server leaves no trace in it", async () => {
  await using binder = await startBinder();
  const { hostname, port } = newTarget();
  const { stdout } = await runProgram(
    wrapperCommand("exec", {
      sock: binder.sock,
      through: ["prlimit", "--nofile=777:5000"],
      args: ["--listen", `${hostname}:${port}`],
      command: ["sh", "-c", "ulimit -n; grep Sig[BI] /proc/self/status; pwd; ls -l /proc/self/fd"],
    }),
  );
  const none = "0000000000000000";
  assertMatch(stdout, new RegExp(`^777\nSigBlk:\\s${none}\nSigIgn:\\s${none}\n/`));
  assert(!stdout.includes("multibinder/"), stdout);
});

/** Waits until a wrapper has told of something in its log, of which there is no other sign. */
const told = (scene: Scene, pattern: RegExp) => scene.wrapper.program.waitFor(pattern);

Deno.test("it is up when it says READY=1, and a stranger's word counts for nothing", async () => {
  await using binder = await startBinder();
  using folder = tempDir();
  const [asked, go] = [folder.file("asked"), folder.file("go")];
  const script = ANSWER(`
open("${asked}", "w").write(os.environ["NOTIFY_SOCKET"])
while not os.path.exists("${go}"): time.sleep(0.01)
notify("STATUS=ready to go\\nREADY=1")
`);
  await using scene = new Scene(binder.sock, script, ["--ready-notify"]);
  await until(() => textOf(asked) !== "");
  const name = textOf(asked);
  await runProgram(["python3", "-c", STRANGER, name]);
  const { generations } = await scene.wrapper.waitFor(() => true);
  assertEquals(generations.map(({ state }) => state), ["starting"]);
  Deno.writeTextFileSync(go, "");
  await scene.wrapper.serving();
  await told(scene, / info the server says .*status="ready to go"/);
  await told(scene, / info the server is up .*sign="READY=1"/);
});

Deno.test({
  name: "a stranger's descriptors at its NOTIFY_SOCKET stop neither a reload nor the wrapper",
  ignore: ignoreUnless(Deno.uid() === 0 && hasFuse(), "to serve a file needs root and /dev/fuse"),
  async fn() {
    await using binder = await startBinder();
    using folder = tempDir();
    const [asked, go] = [folder.file("asked"), folder.file("go")];
    const script = ANSWER(`
open("${asked}", "w").write(os.environ["NOTIFY_SOCKET"])
while not os.path.exists("${go}"): time.sleep(0.01)
try: notify("READY=1")
except ConnectionRefusedError: pass
`);
    await using stranger = new Stranger();
    await using scene = new Scene(binder.sock, script, ["--ready-notify"]);
    let up: Promise<unknown> = scene.wrapper.serving();
    for (const kind of ["flushed", "nested"]) {
      await until(() => textOf(asked) !== "");
      const name = textOf(asked);
      // More than there are threads that could close them.
      for (let count = 0; count < (kind === "flushed" ? 40 : 1); count++) {
        await stranger.send(name, kind, "datagram", "READY=1");
      }
      Deno.writeTextFileSync(go, "");
      await up;
      Deno.removeSync(asked);
      Deno.removeSync(go);
      if (kind === "flushed") up = scene.wrapper.reload();
    }
    await scene.wrapper.program.end("SIGTERM");
  },
});

const STRANGER = `
import socket, sys
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.connect(sys.argv[1].replace("@", "\\0", 1))
sock.send(b"READY=1")
`;

Deno.test("it is up when it writes a line to {ready}, or polls its sockets, where that is asked for", async () => {
  await using binder = await startBinder();
  const line = `os.write(int(os.environ["FD_READY"]), b"up\\n"); os.close(int(sys.argv[1]))`;
  await using scene = new Scene(binder.sock, ANSWER(line), ["--ready-fd"], ["{ready}"]);
  await scene.wrapper.serving();
  assertEquals((await scene.given()).words, ["4"]);

  const poll = `
import select
epoll = select.epoll()
epoll.register(listener)
`;
  await using other = new Scene(binder.sock, ANSWER(poll), ["--ready-poll"]);
  await other.wrapper.serving();
  await told(other, / info the server is up .*sign="it polls its sockets"/);
});

Deno.test("a reload is refused that would not come up, and the old one goes on", async () => {
  await using binder = await startBinder();
  using folder = tempDir();
  // The check is told where the script is by a file, which is written once that is known.
  const place = folder.file("place");
  const parse = "import ast, sys; ast.parse(open(sys.argv[1]).read())";
  const check = `[ ! -e ${place} ] || python3 -c '${parse}' $(cat ${place})`;
  const args = ["--ready-notify", "--ready-timeout", "5s", "--check", check];
  await using scene = new Scene(binder.sock, ANSWER(`notify("READY=1")`), args);
  Deno.writeTextFileSync(place, scene.path);
  const { pid } = await scene.wrapper.serving();
  const refused: [script: string, why: RegExp][] = [
    ["def", /^--check refused the config: SyntaxError: invalid syntax/],
    ["import sys; sys.exit(3)", /^exited with code 3 before it served: /],
    [
      "import os; os.fork() and os._exit(0); input()",
      /exited with code 0 before it served, though/,
    ],
    [ANSWER(""), /^not ready within 5s \(awaited: READY=1 at NOTIFY_SOCKET\)/],
    [ANSWER(`notify("READY=1"); os._exit(4)`), /^exited with code 4 before it served: /],
  ];
  for (const [script, why] of refused) {
    scene.script = script;
    const { ok, message } = await scene.wrapper.reload();
    assertMatch(message, why);
    assertStrictEquals(ok, false);
    assertStrictEquals((await scene.given()).pid, pid);
  }
});

Deno.test("a socket that it has closed is said", async () => {
  await using binder = await startBinder();
  const script = ANSWER(`os.close(4); notify("READY=1")`);
  const args = ["--ready-notify", "--listen", `spare=${loopbackHost()}:61081`];
  await using scene = new Scene(binder.sock, script, args);
  await told(scene, / warn the server has closed a socket: .* name=spare /);
});

/** Runs a wrapper that ends at once. */
async function fails(code: number, options: WrapperOptions): Promise<string> {
  const { stderr, code: found } = await runProgram(wrapperCommand("exec", options));
  assertStrictEquals(found, code, stderr);
  return stderr;
}

Deno.test("what cannot be meant is refused before anything is started", async () => {
  const sock = "/nowhere/control.sock";
  const command = ["python3", "{http}"];
  const cases: [args: string[], message: RegExp][] = [
    [[], /no socket for the server: name one, as in `multibinder exec --listen http=:80 -- /],
    [["--listen", "web=:80"], /\{http\}: no --listen is named "http"; there are web /],
    [["--listen", "a=:80", "--listen", "A=:81"], /"a" for :80 and "A" for :81 are one name/],
    [["--listen", "a b=:80"], /the name "a b" is none/],
    [["--listen", "http=80"], /did you mean ":80"\?/],
    [["--listen", "http=:80", "--server", "apache"], /there is no server "apache"; there are /],
    [["--listen", "http=:80", "--stop-signal", "NONE"], /it must be one of SIGHUP, /],
    [["--listen", "http=:80", "--listen", "ready=:81", "--ready-fd"], /has the name ready for its/],
    [["--listen", "http=:80", "--ready-fd", "--ready-poll"], /only one of --ready-notify/],
    [["--listen", "http=:80", "--server", "nginx", "--check", "true"], /multibinder knows this of/],
  ];
  for (const [args, message] of cases) {
    assertMatch(await fails(2, { sock, args, command }), message);
  }
});

Deno.test("a program that is not there is said with a shell's exit code", async () => {
  await using binder = await startBinder();
  const { hostname, port } = newTarget();
  const args = ["--listen", `${hostname}:${port}`];
  const stderr = await fails(127, { sock: binder.sock, args, command: ["/no/such"] });
  assertMatch(stderr, /command not found: \/no\/such/);
});

Deno.test("a check that hangs is ended with all that it has started, and refuses the config", async () => {
  const [nap = 0] = crypto.getRandomValues(new Uint32Array(1));
  await using binder = await startBinder();
  const { hostname, port } = newTarget();
  const args = ["--listen", `${hostname}:${port}`, "--check", `sleep ${nap}; true`];
  args.push("--ready-timeout", "100ms");
  const stderr = await fails(1, { sock: binder.sock, args, command: ["sleep", "1000"] });
  assertMatch(stderr, /--check did not check the config within 100ms \(--ready-timeout\)/);
  const naps = [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter((pid) =>
    pid > 0 && commandLineOf(pid) === `sleep\0${nap}\0`
  );
  assertEquals(naps, []);
});

function commandLineOf(pid: number): string {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/cmdline`);
  } catch {
    return ""; // It has ended.
  }
}
