/** UDP: what a shared socket preserves when servers come and go, and what it does not (QUIC). */

import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { startBinder } from "../support/binder.ts";
import { suspend, until } from "../support/process_status.ts";
import { type Program, startProgram } from "../support/program.ts";
import { loopbackHost } from "../support/temp_dir.ts";

const SCRIPTS = new URL("../support/", import.meta.url).pathname;
const DATAGRAMS = 50;

Deno.test("datagrams wait for the next server, and two servers divide those of one client", async () => {
  const [hostname, port] = [loopbackHost(), "8053"];
  await using binder = await startBinder([`udp:${hostname}:${port}`]);
  const start = async (name: string): Promise<Program> => {
    const argv = ["python3", `${SCRIPTS}udp_server.py`, binder.sock, hostname, port, name] as const;
    const server = startProgram(argv);
    await server.waitFor(/^up$/);
    return server;
  };
  // It has one port, as a QUIC connection has.
  const argv = ["python3", `${SCRIPTS}udp_client.py`, hostname, port] as const;
  await using client = startProgram(argv, { stdin: "piped" });
  let told = 0;
  /** The next answers: who gave each, and to what. */
  const receive = async (count: number): Promise<[server: string, text: string][]> => {
    const lines = () => client.stdout.split("\n").slice(0, -1);
    await until(() => lines().length >= told + count);
    const answers = lines().slice(told, told + count).map((line) => line.split(" "));
    told += count;
    return answers.map(([server = "", text = ""]) => [server, text]);
  };
  const texts = (from: number) => Array.from({ length: DATAGRAMS }, (_, at) => String(from + at));
  const sendAll = (from: number) => client.write(texts(from).join("\n") + "\n");
  const serversOf = async (from: number) => {
    const answers = await receive(DATAGRAMS);
    assertEquals(answers.map(([, text]) => text).sort(), texts(from), "each is answered, once");
    return new Set(answers.map(([server]) => server));
  };

  await using old = await start("old");
  await sendAll(100);
  assertEquals(await serversOf(100), new Set(["old"]));

  // It hangs: what comes waits in the socket, which is the next one's as well.
  await suspend(old.pid);
  await sendAll(200);
  await using next = await start("next");
  assertEquals(await serversOf(200), new Set(["next"]));

  // Both read: no matter whose client it is, whoever is first has the datagram.
  old.signal("SIGCONT");
  const servers = new Set<string>();
  for (let count = 0; servers.size < 2; count++) {
    assert(count < 10_000, `only ${[...servers]} answered`);
    await client.write(`${count}\n`);
    const [answer] = await receive(1);
    servers.add(answer?.[0] ?? "");
  }

  await old.end("SIGKILL");
  await sendAll(300);
  assertEquals(await serversOf(300), new Set(["next"]));
  assertStrictEquals(next.ended, false);
});
