/** Taking sockets over from what runs today: sites move to a binder under load, and lose nothing. */

import { assert, assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import "../support/libc.ts";
import { multibinder, startBinder } from "../support/binder.ts";
import { site, startWrapper, tag } from "../support/haproxy.ts";
import { addressOf, get, Load, newTarget, type Target } from "../support/http_client.ts";
import { socketInodes } from "../support/process.ts";
import { until } from "../support/process_status.ts";
import { type Program, runProgram, startProgram } from "../support/program.ts";
import { openFolder, type TempDir, tempDir } from "../support/temp_dir.ts";
import { hasProgram, ignoreUnless, UNPRIVILEGED } from "../support/users.ts";

/**
 * Moves a site from what serves it to a wrapper with a binder, under load.
 * @param from `--take`
 * @param stop stops what has served it
 * @param start starts what is to serve it
 */
async function move(
  target: Target,
  from: string,
  stop: () => Promise<unknown>,
  start = (sock: string) => startWrapper(site(tag(target), "new"), { sock }),
): Promise<void> {
  await until(async () => await get(target).catch(() => "") === "old");
  await using load = new Load(target, { workers: 4 });
  await load.more("old");
  await using binder = await startBinder([addressOf(target)], { args: ["--take", from] });
  await load.more("old");
  await using wrapper = await start(binder.sock);
  await load.more("new");
  await stop();
  const { old } = Object.fromEntries(load.outcome.replies);
  await load.more("new");
  const { failures, replies } = await load.stop();
  assertEquals(failures, []);
  assertStrictEquals(replies.get("old"), old, "nobody but the new server answers");
  // nginx overwrites the mark by which what is left of a test is found.
  await wrapper.program.end("SIGTERM");
}

/** HAProxy with a plain bind line. */
function startHaproxy(folder: TempDir, target: Target, ...options: string[]): Program {
  const config = folder.file("site.cfg");
  Deno.writeTextFileSync(config, site(addressOf(target), "old"));
  return startProgram(["haproxy", ...options, "-f", config]);
}

for (const mode of ["-db", "-W"]) {
  Deno.test(`from HAProxy with plain bind lines (${mode})`, async () => {
    using folder = tempDir();
    const target = newTarget();
    await using old = startHaproxy(folder, target, mode);
    const from = mode === "-db" ? String(old.pid) : "auto";
    await move(target, from, () => old.end("SIGUSR1"));
  });
}

Deno.test("from nginx with a plain listen line, to nginx with the same one", async () => {
  using folder = tempDir();
  const target = newTarget();
  const configure = (reply: string) => {
    const config = folder.file(`${reply}.conf`);
    Deno.writeTextFileSync(
      config,
      `pid ${folder.file(`${reply}.pid`)}; error_log stderr; worker_processes 2; events {}
      http { access_log off; client_body_temp_path ${folder.file("body")};
        server { listen ${addressOf(target)}; location / { return 200 ${reply}; } } }`,
    );
    return config;
  };
  await using old = startProgram(["nginx", "-c", configure("old"), "-g", "daemon off;"]);
  const command = ["nginx", "-c", configure("new")];
  const args = ["--listen", `http=${addressOf(target)}`];
  const start = (sock: string) => startWrapper("", { sock, command, args });
  await move(target, "auto", () => old.end("SIGQUIT"), start);
});

/** A server for Server::Starter, which answers one request after the other and ends upon SIGTERM. */
const STARTED = `
import os, select, signal, socket, sys
listener = socket.socket(fileno=int(os.environ["SERVER_STARTER_PORT"].rpartition("=")[2]))
listener.setblocking(False)
reader, writer = os.pipe()
os.set_blocking(writer, False)
signal.set_wakeup_fd(writer)
signal.signal(signal.SIGTERM, lambda *_: None)
body = sys.argv[1].encode()
while reader not in (ready := select.select([listener, reader], [], [])[0]):
    try:
        client, _ = listener.accept()
    except BlockingIOError:
        continue
    client.setblocking(True)
    client.recv(65536)
    head = "HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body)
    client.sendall(head.encode() + body)
    client.close()
`;

Deno.test({
  name: "from Server::Starter, to the same server",
  ignore: ignoreUnless(hasProgram("start_server"), "there is no start_server"),
  async fn() {
    const target = newTarget();
    const words = (reply: string) => ["python3", "-c", STARTED, reply];
    await using old = startProgram([
      "start_server",
      "--port",
      addressOf(target),
      "--",
      ...words("old"),
    ]);
    const command = ["env", `SERVER_STARTER_PORT=${addressOf(target)}={http}`, ...words("new")];
    const args = ["--listen", `http=${addressOf(target)}`];
    const start = (sock: string) => startWrapper("", { sock, command, args });
    await move(target, "auto", () => old.end("SIGTERM"), start);
  },
});

Deno.test("from the original binder and a server on its sockets", async () => {
  using folder = tempDir();
  const target = newTarget();
  const sock = folder.file("original.sock");
  const script = new URL("../support/original_binder.py", import.meta.url).pathname;
  await using original = startProgram(["python3", script, sock]);
  await original.waitFor(/^listening$/);
  await using old = await startWrapper(site(tag(target), "old"), { sock });
  await move(target, String(original.pid), async () => {
    await old.program.end("SIGTERM");
    await original.end("SIGTERM");
  });
});

Deno.test("without --take, a server that is stopped to make room loses connections", async () => {
  using folder = tempDir();
  const target = newTarget();
  await using old = startHaproxy(folder, target, "-db");
  await until(async () => await get(target).catch(() => "") === "old");
  await using load = new Load(target, { workers: 4 });
  await old.end("SIGUSR1");
  await using binder = await startBinder([addressOf(target)]);
  await using _wrapper = await startWrapper(site(tag(target), "new"), { sock: binder.sock });
  assert((await load.stop()).failures.length > 0);
});

Deno.test("what was taken is held: it is in the status, grows, stays through an upgrade, and is handed out", async () => {
  using folder = tempDir();
  const target = newTarget();
  await using old = startHaproxy(folder, target, "-db");
  await until(async () => await get(target).catch(() => "") === "old");
  const args = ["--take", "auto"];
  const addresses = [`${addressOf(target)},mss=1400`, `${target.hostname}:1`];
  await using binder = await startBinder(addresses, { args });
  const { sockets } = await binder.waitFor(() => true);
  assertMatch(
    binder.program.stderr,
    new RegExp(
      `took over address=${addressOf(target)} pid=${old.pid} command=haproxy uid=${Deno.uid()} `,
    ),
  );
  assertEquals(sockets.map(({ address }) => address), [addressOf(target), `${target.hostname}:1`]);
  assertEquals(sockets[0]?.options, { mss: 1400 });
  const shared = () =>
    socketInodes(binder.program.pid).filter((inode) => socketInodes(old.pid).includes(inode));
  const [inode] = shared();
  assert(inode !== undefined);
  // The command line says the same to its successor, which has the socket already.
  binder.program.signal("SIGUSR1");
  await binder.waitFor(({ upgrades }) => upgrades === 1);
  assertEquals(shared(), [inode]);
  // A unit may keep the option: after a crash the socket is taken back from whoever serves it.
  await binder.program.end("SIGKILL");
  await using again = await startBinder(addresses, { args, sock: binder.sock });
  assert(socketInodes(again.program.pid).includes(inode));
  await old.end("SIGTERM");
  const connection = await Deno.connect(target);
  await again.waitFor(({ sockets }) => JSON.stringify(sockets[0]?.queue).includes('"length":1'));
  connection.close();
});

Deno.test("what is not to be had ends the start, with the reason", async () => {
  using folder = tempDir();
  const target = newTarget();
  await using old = startHaproxy(folder, target, "-db");
  await until(async () => await get(target).catch(() => "") === "old");
  const refused = async (from: string, address: string, through: readonly string[] = []) => {
    const [file = "", ...words] = [...through, multibinder()];
    const sock = folder.file("sock");
    const args = [...words, "bind", "--sock", sock, "--take", from, address];
    const { code, stderr } = await runProgram([file, ...args]);
    assert(code !== 0);
    return stderr;
  };
  const who = `haproxy \\(pid ${old.pid}\\)`;
  assertMatch(
    await refused(String(old.pid), `${target.hostname}:9`),
    new RegExp(`cannot take ${target.hostname}:9: ${who} does not listen on it$`, "m"),
  );
  assertMatch(
    await refused("none", ":80"),
    /--take "none": it must be the pid of a process, or auto/,
  );
  assertStrictEquals(await get(target), "old");
});

Deno.test({
  name: "a user without the right to trace the holder is told so",
  ignore: ignoreUnless(Deno.uid() === 0, "only root can become a user without that right"),
  async fn() {
    using folder = openFolder();
    const target = newTarget();
    await using old = startHaproxy(folder, target, "-db");
    await until(async () => await get(target).catch(() => "") === "old");
    const [file = "", ...words] = [...UNPRIVILEGED, multibinder(), "bind"];
    for (const from of [String(old.pid), "auto"]) {
      const args = ["--sock", folder.file("sock"), "--take", from, addressOf(target)];
      const { code, stderr } = await runProgram([file, ...words, ...args]);
      assert(code !== 0);
      assertMatch(stderr, /no right to trace (haproxy|it).* it takes root .*ptrace_scope=0/);
    }
  },
});
