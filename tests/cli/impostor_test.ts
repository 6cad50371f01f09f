/** Commands of root's, where another user answers at the control socket. */

import { assert, assertEquals, assertMatch, assertNotMatch } from "@std/assert";
import { multibinder, startBinder } from "../support/binder.ts";
import { site, startWrapper, tag } from "../support/haproxy.ts";
import { type Program, runProgram, startProgram } from "../support/program.ts";
import { newTarget } from "../support/http_client.ts";
import { openFolder } from "../support/temp_dir.ts";
import { ignoreUnless } from "../support/users.ts";

const ignore = ignoreUnless(Deno.uid() === 0, "to be another user needs root");
const SCRIPT = new URL("../support/impostor.py", import.meta.url).pathname;
const STRANGER = "65534";

async function startImpostor(sock: string, answers: object, ...gifts: string[]): Promise<Program> {
  const words = [SCRIPT, sock, STRANGER, JSON.stringify(answers), ...gifts];
  const impostor = startProgram(["python3", ...words]);
  await impostor.waitFor(/^listening$/);
  return impostor;
}

/** Runs a command of root's. */
function run(sock: string, command: string, ...args: string[]) {
  return runProgram([multibinder(), command, "--sock", sock, ...args]);
}

Deno.test({
  name: "descriptors whose close waits hold no command up",
  ignore,
  async fn() {
    using folder = openFolder();
    const sock = folder.file("sock");
    await using _impostor = await startImpostor(sock, {}, "gifts");
    for (
      const command of ["status", "ls", "metrics", "reload", "upgrade", "doctor", "healthcheck"]
    ) {
      const { code, stderr } = await run(sock, command);
      assertEquals(code, 1, command);
      assertMatch(stderr, /descriptors came that nobody had asked for/, command);
    }
  },
});

Deno.test({
  name: "doctor runs no program of theirs",
  ignore,
  async fn() {
    using folder = openFolder();
    const [sock, ran] = [folder.file("sock"), folder.file("ran")];
    Deno.writeTextFileSync(folder.file("haproxy"), `#!/bin/sh\ntouch ${ran}\n`, { mode: 0o755 });
    const own = "exec setpriv --reuid 65534 --clear-groups bash -c 'exec -a ./haproxy sleep 600'";
    await using server = startProgram(["bash", "-c", own], { cwd: folder.path });
    const generations = [{ number: 1, pid: server.pid, state: "serving" }];
    const status = { role: "wrapper", version: "0", pid: "PID", sockets: [], generations };
    await using _impostor = await startImpostor(sock, { status });
    const { stdout } = await run(sock, "doctor");
    assertMatch(stdout, /unknown +the server that runs \(pid \d+\) is not asked what it is/);
    assert(![...Deno.readDirSync(folder.path)].some(({ name }) => name === "ran"));
  },
});

Deno.test({
  name: "the name of one wrapper leads to no other",
  ignore,
  async fn() {
    using folder = openFolder();
    const sock = folder.file("sock");
    const target = newTarget();
    await using binder = await startBinder();
    await using wrapper = await startWrapper(site(tag(target), "ok"), { sock: binder.sock });
    const other = { pid: 1, uid: 0, service: "/etc/other.cfg", control: wrapper.control };
    await using _impostor = await startImpostor(sock, { status: { wrappers: [other] } });
    for (const command of ["stop", "reload", "upgrade", "status"]) {
      const { code, stderr } = await run(sock, command, "other");
      assertEquals(code, 1, command);
      assertMatch(stderr, /another one answers in the place of the wrapper of \/etc\/other.cfg/);
    }
    const { generations } = await wrapper.waitFor(() => true);
    assertEquals(generations.map(({ number, state }) => [number, state]), [[1, "serving"]]);
  },
});

Deno.test({
  name: "what they say steers no terminal and no shell, and JSON is exact",
  ignore,
  async fn() {
    using folder = openFolder();
    const sock = folder.file("sock");
    const strange = "unix:/\x1b[31m\x9b31m\u202e\x7f\n$(reboot)";
    const sockets = ["$(reboot)", "a b", "'", '"', "`x`", "a;b", "a\tb", "a\nb", "127.0.0.1:80"]
      .map((address) => ({ address }));
    const status = { role: "binder", sock: strange, sockets };
    await using _impostor = await startImpostor(sock, { status, metrics: strange });
    const steering = /[^\P{Cc}\n]|\u202e/u;
    const json = await run(sock, "status", "--json");
    assertEquals(JSON.parse(json.stdout), status);
    assertNotMatch(json.stdout, steering);
    for (const command of ["status", "ls", "doctor", "reload", "upgrade"]) {
      const { stdout, stderr } = await run(sock, command);
      assertNotMatch(stdout + stderr, steering, command);
    }
    // A file of metrics gets each character as it is, and a terminal does not.
    assertEquals((await run(sock, "metrics")).stdout, strange);
    const command = [multibinder(), "metrics", "--sock", sock].join(" ");
    const terminal = await runProgram(["script", "-qec", command, "/dev/null"]);
    assertNotMatch(terminal.stdout.replaceAll("\r\n", "\n"), steering);
    const { stdout } = await runProgram([multibinder(), "complete", "unbind", "--sock", sock, ""]);
    assertEquals(stdout, "words\n127.0.0.1:80\theld\n");
  },
});
