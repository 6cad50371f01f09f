/** What a client can do to the sockets that it was handed, and that it cannot do it for good. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Binder, multibinder, startBinder } from "../support/binder.ts";
import { bindOnce, type BindParam, bindRequest } from "../support/control_client.ts";
import { until } from "../support/process_status.ts";
import { type Program, runProgram, startProgram } from "../support/program.ts";
import { binderStatus } from "../support/status.ts";
import { loopbackHost, tempDir } from "../support/temp_dir.ts";

/** Asks for a socket, does harm to it, and keeps it until its input ends. */
const HARM = `
import ctypes, socket, sys
sock, request, harm = sys.argv[1:]
client = socket.socket(socket.AF_UNIX); client.connect(sock)
client.sendall(request.encode())
answer, fds, _, _ = socket.recv_fds(client, 65536, 1)
shared = socket.socket(fileno=fds[0])
shared.setblocking(True)
other = socket.create_server(("127.0.0.1", 0))
try:
    if harm == "shutdown": shared.shutdown(socket.SHUT_RDWR)
    elif harm == "disconnect": # connect(2) to AF_UNSPEC
        ctypes.CDLL(None).connect(shared.fileno(), bytes(16), 16)
    elif harm == "connect elsewhere":
        if shared.type == socket.SOCK_STREAM: shared.shutdown(socket.SHUT_RDWR)
        shared.connect(other.getsockname())
except OSError:
    pass # Or the binder has mended it in the middle.
print("done", flush=True)
sys.stdin.read()
`;

/** Asks for a socket, and serves one request on it: the first bytes come back. */
const ECHO = `
import socket, sys
client = socket.socket(socket.AF_UNIX); client.connect(sys.argv[1])
client.sendall(sys.argv[2].encode())
answer, fds, _, _ = socket.recv_fds(client, 65536, 1)
if not fds: print("refused:", answer.decode(), flush=True); sys.exit()
shared = socket.socket(fileno=fds[0])
ask = socket.socket(shared.family, shared.type)
ask.settimeout(10); shared.settimeout(10)
ask.connect(shared.getsockname())
if shared.type == socket.SOCK_STREAM:
    got = shared.accept()[0]
    ask.sendall(b"x"); print("served:", got.recv(1).decode(), flush=True)
else:
    ask.send(b"x"); print("served:", shared.recv(1).decode(), flush=True)
`;

async function harm(binder: Binder, param: BindParam, how: string): Promise<Program> {
  const python = startProgram(["python3", "-c", HARM, binder.sock, bindRequest(param), how], {
    stdin: "piped",
  });
  await python.waitFor(/done/);
  return python;
}

/** What the next client makes of the socket. */
async function next(binder: Binder, param: BindParam): Promise<string> {
  await using python = startProgram(["python3", "-c", ECHO, binder.sock, bindRequest(param)]);
  const [line] = await python.waitFor(/^(served|refused): .*/);
  return line;
}

Deno.test("a socket that a client has shut down or connected serves the next client", async () => {
  using folder = tempDir();
  const address = loopbackHost();
  const cases: [BindParam, string[]][] = [
    [{ address, port: 2080 }, ["shutdown", "disconnect", "connect elsewhere"]],
    [{ address: "::1", port: 2080 }, ["shutdown"]],
    [{ address: `udp:${address}`, port: 2080 }, ["connect elsewhere", "shutdown"]],
    [{ address: `unix:${folder.file("site.sock")}` }, ["shutdown"]],
  ];
  await using binder = await startBinder([], { args: ["--allow", "*", "--allow", "unix:/*"] });
  for (const [param, ways] of cases) {
    for (const [index, how] of ways.entries()) {
      await using _holder = await harm(binder, param, how);
      const file = param.port === undefined && param.address.replace("unix:", "");
      if (file) Deno.chmodSync(file, 0o640);
      assertEquals(await next(binder, param), "served: x", `${JSON.stringify(param)} ${how}`);
      if (file) assertEquals((Deno.statSync(file).mode ?? 0) & 0o777, 0o640);
      const { sockets } = await binderStatus(binder.sock);
      // One more where the binder mended the socket while the harm was being done.
      assert((sockets.at(-1)?.mended ?? 0) > index);
    }
  }
  const told = binder.program.stderr.match(/ warn a client has made a socket useless.*/g) ?? [];
  assertEquals(told.length, cases.length, "once for each");
  assertMatch(told[0] ?? "", /; it listens again address=.*:2080 why="it does not listen"/);
  assertMatch(told[3] ?? "", /; another one is bound .* address=.*site.sock why="it is shut down"/);
});

Deno.test("the binder mends without being asked", async () => {
  const address = loopbackHost();
  await using binder = await startBinder([`${address}:2080`]);
  await using _holder = await harm(binder, { address, port: 2080 }, "shutdown");
  await until(async () => {
    try {
      (await Deno.connect({ hostname: address, port: 2080 })).close();
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.ConnectionRefused) return false;
      throw error;
    }
  });
});

Deno.test("status and ls mend, without a client that asks for the socket", async () => {
  const address = loopbackHost();
  await using binder = await startBinder([`${address}:2080`]);
  await using _holder = await harm(binder, { address, port: 2080 }, "shutdown");
  assertEquals((await binderStatus(binder.sock)).sockets.map(({ mended }) => mended), [1]);
  using _connection = await Deno.connect({ hostname: address, port: 2080 });
  await using _other = await harm(binder, { address, port: 2080 }, "shutdown");
  const { stdout } = await runProgram([multibinder(), "ls", "--sock", binder.sock, "--json"]);
  assertMatch(stdout, /"mended":\s*2\b/);
});

Deno.test("a socket that cannot be mended is refused, until it can be bound anew", async () => {
  await using binder = await startBinder([], { args: ["--allow", "unix:@*"] });
  // Its name belongs to the socket for as long as anybody has it.
  const param = { address: `unix:@${crypto.randomUUID()}` };
  {
    await using _holder = await harm(binder, param, "shutdown");
    assertEquals((await bindOnce(binder.sock, param)).error?.data?.code, "EADDRINUSE");
    assertEquals((await binderStatus(binder.sock)).sockets, []);
  }
  assertEquals(await next(binder, param), "served: x");
});
