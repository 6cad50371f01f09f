import { assertEquals, assertRejects } from "@std/assert";
import { bodyOf, get, HttpConnection, newTarget } from "../../tests/support/http_client.ts";
import { startLocalBinder } from "../../tests/support/local_binder.ts";
import { settled } from "../../tests/support/poller.ts";
import { processStatus, until } from "../../tests/support/process_status.ts";
import { startProgram } from "../../tests/support/program.ts";
import { tempDir } from "../../tests/support/temp_dir.ts";
import { Poller } from "../../ffi/poll.ts";
import { ControlClient } from "../control/client.ts";

const RUNNER = new URL("../../tests/support/own_server.ts", import.meta.url).pathname;
const poller = new Poller();
const target = newTarget();

/** A web server of a few lines, which answers with a word and says what it was told. */
const script = (word: string) => `
import os, signal, socket
signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b"${word} stops\\n"), os._exit(7)))
[listener] = [socket.socket(fileno=one) for one in <%= bind_tcp('${target.hostname}', ${target.port}) %>]
while True:
    client, _ = listener.accept()
    client.recv(65536)
    client.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: ${word.length}\\r\\nConnection: close\\r\\n\\r\\n${word}")
    client.close()
`;

Deno.test("a server is one file and one line: checked, reloaded without a loss, and stopped", async () => {
  using folder = tempDir();
  const [sock, control] = [folder.file("binder.sock"), folder.file("control.sock")];
  const path = folder.file("server.py.eta");
  Deno.writeTextFileSync(path, script("one"));
  await using _binder = await startLocalBinder(sock);
  await using wrapper = startProgram([
    Deno.execPath(),
    ...["run", "--quiet", "--allow-all", RUNNER, sock, control, "--", "python3", path],
  ]);
  await wrapper.waitFor(/ serving generation=1 /);
  assertEquals(await get(target), "one");
  using client = ControlClient.connect(control, poller);
  const running = async () => {
    const { generations } = Object(await client.call("status", []));
    return generations.map(({ pid, state }: { pid: number; state: string }) => ({ pid, state }));
  };

  // Refused in the server's own words, with the old generation untouched.
  Deno.writeTextFileSync(path, "def\n");
  await assertRejects(
    () => client.call("reload", []),
    Error,
    "reload failed: Python refused the config: SyntaxError: invalid syntax",
  );
  await wrapper.waitFor(/ error python: +def$/);
  assertEquals(await get(target), "one");

  // Connections that wait at a server that hangs are served by the next generation.
  const [{ pid }] = await running();
  Deno.kill(pid, "SIGSTOP");
  await until(() => processStatus(pid, "State")?.startsWith("T") ?? false);
  const waiting = await Promise.all(Array.from({ length: 20 }, () => HttpConnection.open(target)));
  await Promise.all(waiting.map((connection) => connection.send("/", [])));
  Deno.writeTextFileSync(path, script("two"));
  assertEquals(await client.call("reload", []), "generation 2 serves");
  for (const connection of waiting) {
    assertEquals(bodyOf(await connection.receive()), "two");
    connection[Symbol.dispose]();
  }

  Deno.kill(pid, "SIGCONT");
  await wrapper.waitFor(/^one stops$/);
  await until(() => processStatus(pid, "State") === undefined);
  assertEquals((await running()).map(({ state }: { state: string }) => state), ["serving"]);

  wrapper.signal("SIGTERM");
  assertEquals((await wrapper.exited).code, 7);
  assertEquals(wrapper.stdout, "one stops\ntwo stops\n");
  client[Symbol.dispose]();
  await settled(poller);
});
