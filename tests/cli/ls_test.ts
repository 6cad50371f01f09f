/** `multibinder ls`: who serves each socket, what waits at it, what it has dropped, and that looking is cheap. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { multibinder, startBinder } from "../support/binder.ts";
import { bindOnce, ControlConnection } from "../support/control_client.ts";
import { site, startWrapper, tag, Wrapper } from "../support/haproxy.ts";
import { hasEnded, until } from "../support/process_status.ts";
import { runProgram } from "../support/program.ts";
import { servers } from "../support/status.ts";
import { loopbackHost, tempDir } from "../support/temp_dir.ts";
import { ignoreUnless, UNPRIVILEGED } from "../support/users.ts";
import type { ListedSocket } from "../../src/cli/socket_list.ts";

const isRoot = Deno.uid() === 0;

async function ls(sock: string, prefix: readonly string[] = []): Promise<ListedSocket[]> {
  const [first = "", ...rest] = [...prefix, multibinder(), "ls", "--sock", sock, "--json"];
  const { code, stdout, stderr } = await runProgram([first, ...rest]);
  assertEquals([code, stderr], [0, ""]);
  return JSON.parse(stdout);
}

Deno.test({
  name: "each socket is listed with who serves it, what waits, and to whom it was lent",
  ignore: ignoreUnless(isRoot, "to see who serves needs root"),
  async fn() {
    using folder = tempDir();
    const hostname = loopbackHost();
    const [served, idle] = [`${hostname}:80`, `${hostname}:81`];
    const unix = `unix:${folder.file("site.sock")}`;
    const udp = `udp:${hostname}:53`;
    await using binder = await startBinder([served, idle, unix, udp], { args: ["--backlog", "7"] });
    await using wrapper = await startWrapper(site(tag({ hostname, port: 80 }), "ok"), {
      sock: binder.sock,
    });
    const { generation, pid } = await wrapper.serving();
    using clients = new DisposableStack();
    for (const _ of [1, 2, 3]) {
      const tcp = await Deno.connect({ hostname, port: 81 });
      clients.defer(() => tcp.close());
    }
    const local = await Deno.connect({ transport: "unix", path: folder.file("site.sock") });
    clients.defer(() => local.close());
    const list = await ls(binder.sock);
    const [first] = list[0]?.lentTo ?? [];
    assert(first !== undefined && first.count >= 1 && Date.parse(first.last) <= Date.now());
    for (const { ageSeconds } of list) assert(ageSeconds >= 0 && ageSeconds < 60);
    const common = { ageSeconds: 0, mended: 0, options: { backlog: 7 }, troubles: [] };
    const mode = ((Deno.lstatSync(folder.file("site.sock")).mode ?? 0) & 0o777).toString(8);
    const file = { mode, user: String(Deno.uid()), group: String(Deno.gid()) };
    const server = { pid, command: "haproxy", generation, unit: null, container: null };
    const unserved = { state: "unserved", servedBy: [], lentTo: [] } as const;
    const bytes = list[3]?.limit ?? null;
    assert(bytes !== null && bytes > 1000);
    assertEquals(
      list.map((one) => ({ ...one, ageSeconds: 0 })),
      [
        {
          address: served,
          type: "tcp",
          state: "serving",
          servedBy: [server],
          queue: 0,
          limit: 7,
          drops: 0,
          lentTo: [{ ...first, pid: wrapper.program.pid, uid: Deno.uid() ?? 0 }],
          ...common,
        },
        { address: idle, type: "tcp", ...unserved, queue: 3, limit: 7, drops: 0, ...common },
        {
          address: unix,
          type: "unix",
          ...unserved,
          queue: 1,
          limit: 7,
          drops: null,
          ...common,
          options: { backlog: 7, ...file },
        },
        {
          address: udp,
          type: "udp",
          ...unserved,
          queue: 0,
          limit: bytes,
          drops: 0,
          ...common,
          options: {},
        },
      ].map((one) => Object.fromEntries(Object.entries(one))) as unknown as ListedSocket[],
    );

    const described = Deno.readTextFileSync("docs/watching.md").split("\n")
      .filter((line) => line.startsWith("|")).join("\n");
    const fields = [...list, ...list.flatMap(({ servedBy }) => servedBy ?? []), first, file]
      .flatMap(Object.keys);
    for (const field of new Set(fields)) {
      assert(described.includes(`\`${field}\``), `docs/watching.md describes ${field}`);
    }

    // For people: trouble first.
    const { stdout } = await runProgram([multibinder(), "ls", "--sock", binder.sock]);
    const lines = stdout.trim().split("\n").map((line) => line.split(/ {2,}/));
    assertEquals(lines.map(([address]) => address), ["ADDRESS", idle, unix, udp, served]);
    assertEquals(lines[1]?.slice(0, 7), [idle, "unserved", "3", "7", "0", "nobody", "nobody"]);
    assertEquals(lines[4]?.[5], `haproxy ${pid} (generation ${generation})`);
    const words = `${multibinder()} ls --sock ${binder.sock}`;
    const terminal = await runProgram(["script", "-qec", words, "/dev/null"]);
    assert(terminal.stdout.includes("\x1b[31munserved"), "red on a terminal");

    // Its server killed, the wrapper ends as well, and nobody is left.
    Deno.kill(pid, "SIGKILL");
    await wrapper.program.exited;
    await until(() => hasEnded(pid));
    assertEquals((await ls(binder.sock))[0]?.state, "unserved");
  },
});

Deno.test({
  name: "a socket that is left to a server that stops is draining, and then unserved",
  ignore: ignoreUnless(isRoot, "to see who serves needs root"),
  async fn() {
    const address = `${loopbackHost()}:80`;
    await using binder = await startBinder([], {
      args: ["--mode", "0666", "--allow-uid", "65534"],
    });
    await using wrapper = new Wrapper("", {
      sock: binder.sock,
      args: ["--listen", `http=${address}`],
      command: ["sh", "-c", 'trap "" TERM; sleep 1000; exit'],
    });
    const { pid } = await wrapper.serving();
    const state = async () => {
      const [one] = await ls(binder.sock);
      return [one?.state, one?.servedBy?.some((by) => by.pid === pid && by.generation === 1)];
    };
    // Until it has become the server, its process is multibinder's own.
    await until(async () => (await state())[0] === "serving");
    assertEquals(await state(), ["serving", true]);
    const words = ["stop", "--sock", wrapper.control, "--timeout", "100ms"] as const;
    assertEquals((await runProgram([multibinder(), ...words])).code, 1);
    await until(async () => (await state())[0] === "draining");
    assertEquals(await state(), ["draining", true]);
    // Who may not look is told so by the wrapper.
    const [told] = await ls(binder.sock, UNPRIVILEGED);
    assertEquals([told?.state, told?.servedBy?.map((by) => by.pid)], ["draining", [pid]]);
    const { stdout } = await runProgram([multibinder(), "ls", "--sock", binder.sock]);
    assertMatch(stdout, new RegExp(`^${address} +draining +0 `, "m"));
    assertEquals((await runProgram([multibinder(), "stop", "--sock", wrapper.control])).code, 0);
    assertEquals((await ls(binder.sock))[0]?.state, "unserved");
  },
});

Deno.test({
  name: "who may not look into /proc is told what the wrapper says, and else that it is unknown",
  ignore: ignoreUnless(UNPRIVILEGED.length > 0, "to be another user needs root"),
  async fn() {
    const hostname = loopbackHost();
    await using binder = await startBinder([`${hostname}:80`, `${hostname}:81`], {
      args: ["--mode", "0666", "--allow-uid", "65534"],
    });
    await using wrapper = await startWrapper(site(tag({ hostname, port: 80 }), "ok"), {
      sock: binder.sock,
    });
    const { generation, pid } = await wrapper.serving();
    await binder.waitFor((status) => servers(status).length > 0);
    const [served, other] = await ls(binder.sock, UNPRIVILEGED);
    assertEquals([served?.state, served?.servedBy], [
      "serving",
      [{ pid, command: null, generation, unit: null, container: null }],
    ]);
    assertEquals([other?.state, other?.servedBy], [null, null]);
  },
});

Deno.test("a binder tells of its sockets in pages, so that no look keeps others waiting", async () => {
  const address = loopbackHost();
  await using binder = await startBinder();
  const ports = Array.from({ length: 1000 }, (_, index) => 20_000 + index);
  for (let at = 0; at < ports.length; at += 100) {
    const params = ports.slice(at, at + 100).map((port) => ({ address, port }));
    await bindOnce(binder.sock, ...params);
  }
  using connection = await ControlConnection.open(binder.sock);
  const found: string[] = [];
  let next: number | null = 0;
  let pages = 0;
  while (next !== null) {
    await connection.send(JSON.stringify({ method: "sockets", id: 1, params: [next] }));
    const answer = (await connection.receive())?.result as {
      sockets: { address: string }[];
      next: number | null;
    };
    assert(answer.sockets.length <= 200, "a page is a piece of work that others can wait for");
    found.push(...answer.sockets.map((one) => one.address));
    next = answer.next;
    pages++;
  }
  assertEquals(found, ports.map((port) => `${address}:${port}`));
  assert(pages >= 5);
  const listed = await ls(binder.sock);
  assertEquals(listed.map((one) => one.address), found);
});
