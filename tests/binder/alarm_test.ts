/** What is wrong with a socket is told: in the log, by `status`, `ls` and `healthcheck --strict`. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Binder, multibinder, startBinder } from "../support/binder.ts";
import { site, startWrapper, tag } from "../support/haproxy.ts";
import { HttpConnection } from "../support/http_client.ts";
import { runProgram } from "../support/program.ts";
import { loopbackHost } from "../support/temp_dir.ts";
import { ignoreUnless } from "../support/users.ts";

const isRoot = { ignore: ignoreUnless(Deno.uid() === 0, "to see who serves needs root") };

async function health(
  binder: Binder,
  ...args: string[]
): Promise<{ code: number; stderr: string }> {
  return await runProgram([multibinder(), "healthcheck", "--sock", binder.sock, ...args]);
}

Deno.test(
  "clients that wait after the only server was killed are told of, until one serves again",
  isRoot,
  async () => {
    const target = { hostname: loopbackHost(), port: 80 };
    const address = `${target.hostname}:80`;
    await using binder = await startBinder([address], { args: ["--unserved-after", "400ms"] });
    {
      await using wrapper = await startWrapper(site(tag(target), "ok"), { sock: binder.sock });
      const { pid } = await wrapper.serving();
      // Under load: clients come before, at, and after its death.
      let stop = false;
      const clients: Promise<unknown>[] = [];
      const load = (async () => {
        while (!stop) {
          const connection = await Deno.connect(target);
          clients.push(connection.readable.cancel().catch(() => {}));
        }
      })();
      Deno.kill(pid, "SIGKILL");
      await wrapper.program.exited;
      const waiting = await HttpConnection.open(target);
      stop = true;
      await load;
      const { troubles } = await binder.waitFor(({ troubles }) =>
        troubles.some(({ kind }) => kind === "unserved")
      );
      const message = troubles.find(({ kind }) => kind === "unserved")?.message ?? "";
      assertMatch(
        message,
        new RegExp(`^${address}: nobody serves the address: \\d+ connections? waits?`),
      );
      await binder.program.waitFor(/warn nobody serves the address: .*address=/);
      assertEquals((await health(binder)).code, 0);
      const strict = await health(binder, "--strict");
      assertEquals(strict.code, 1);
      assertMatch(strict.stderr, /nobody serves the address/);
      const { stdout } = await runProgram([multibinder(), "ls", "--sock", binder.sock]);
      assertMatch(stdout, new RegExp(`^${address} +unserved +\\d+`, "m"));
      assertMatch(stdout, /^\S+: nobody serves the address/m);
      waiting[Symbol.dispose]();
      await Promise.all(clients);
    }
    await using _next = await startWrapper(site(tag(target), "ok"), { sock: binder.sock });
    await binder.waitFor(({ troubles }) => troubles.every(({ kind }) => kind !== "unserved"));
    await binder.program.waitFor(/info the address is served again/);
  },
);

Deno.test(
  "a queue that is nearly full, and connections that the kernel drops, as nstat counts them",
  isRoot,
  async () => {
    // In a network of its own, where nobody else's connections are dropped.
    const script = `
    set -e
    ip link set lo up
    "$0" bind --sock "$1" --backlog 4 --unserved-after 200ms 127.0.0.1:80 2>"$1.log" &
    for try in $(seq 200); do [ -S "$1" ] && break; sleep 0.05; done
    exec python3 -u -c '
import json, socket, subprocess, sys, time
program, sock = sys.argv[1:]
def run(*words): return subprocess.run([program, *words, "--sock", sock], capture_output=True, text=True)
def ls(): return json.loads(run("ls", "--json").stdout)[0]
def until(what, holds):
    for _ in range(200):
        if holds(): return
        time.sleep(0.05)
    sys.exit("it did not come to be: " + what)
def connect():
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(("127.0.0.1", 80))
    return client
clients = [connect() for _ in range(4)]
until("four wait", lambda: ls()["queue"] == 4)
until("the queue is nearly full", lambda: any("nearly full: 4 of 4" in t for t in ls()["troubles"]))
assert run("healthcheck").returncode == 0
assert run("healthcheck", "--strict").returncode == 1
clients += [connect() for _ in range(20)]
until("drops are told", lambda: any("has dropped" in t for t in ls()["troubles"]))
def dropped():
    out = subprocess.run(["nstat", "-asz", "TcpExtListenDrops"], capture_output=True, text=True).stdout
    return int(out.split("TcpExtListenDrops")[1].split()[0])
def metrics(): return dict(line.rsplit(" ", 1) for line in run("metrics").stdout.split("\\n") if line)
def same():
    before, ours, after = dropped(), ls()["drops"], dropped()
    return before == ours == after and ours >= 20
until("DROPS is what nstat counts", same)
# Clients go on trying.
before, told, after = ls()["drops"], metrics(), ls()["drops"]
assert before <= int(told["multibinder_listener_drops_total{address=\\"127.0.0.1:80\\"}"]) <= after
alarms = {name for name in told if "_alarm{" in name}
assert all(any("kind=\\"%s\\"" % kind in name for name in alarms) for kind in ["queue", "drops"]), alarms
print("drops", ls()["drops"])
' "$0" "$1"`;
    const sock = Deno.makeTempFileSync();
    Deno.removeSync(sock);
    try {
      const { code, stdout, stderr } = await runProgram([
        "unshare",
        "--net",
        "sh",
        "-c",
        script,
        multibinder(),
        sock,
      ]);
      assertEquals([code, stderr], [0, ""]);
      assertMatch(stdout, /^drops \d+\n$/);
      const log = Deno.readTextFileSync(`${sock}.log`);
      assertMatch(
        log,
        /warn the queue is nearly full: 4 of 4 connections wait address=127\.0\.0\.1:80/,
      );
      assertMatch(log, /warn the kernel has dropped \d+ connections? address=/);
      assert(
        log.split("\n").filter((line) => line.includes("has dropped")).length <= 2,
        "they are summed up",
      );
    } finally {
      Deno.removeSync(`${sock}.log`);
    }
  },
);
