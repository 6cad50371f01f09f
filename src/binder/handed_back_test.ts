import { assertStrictEquals, fail } from "@std/assert";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  IPPROTO_IPV6,
  IPV6_V6ONLY,
  POLLIN,
  SO_REUSEPORT,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
} from "../../ffi/constants.ts";
import { check } from "../../ffi/errno.ts";
import { Fd } from "../../ffi/fd.ts";
import { receiveMessage } from "../../ffi/fd_passing.ts";
import { createMemfd } from "../../ffi/memfd.ts";
import { Poller } from "../../ffi/poll.ts";
import { libc } from "../../ffi/libc.ts";
import { encodeAddress } from "../../ffi/sockaddr.ts";
import {
  acceptSocket,
  bindSocket,
  createSocket,
  listenSocket,
  setOption,
} from "../../ffi/socket.ts";
import { leavesNoDescriptors } from "../../tests/support/descriptors.ts";
import { startProgram } from "../../tests/support/program.ts";
import { freePort, loopbackHost, tempDir } from "../../tests/support/temp_dir.ts";
import { ignoreUnless } from "../../tests/support/users.ts";
import { type Address, resolveAddress, splitAddress } from "../sockets/address.ts";
import { listen } from "../sockets/listen.ts";
import { whyUnfit } from "./handed_back.ts";

/** What listens, or is bound, as TCP and UDP do: <netinet/in.h>. */
const KINDS = [
  { name: "MPTCP", type: SOCK_STREAM, protocol: 262, transport: "" },
  { name: "UDP-Lite", type: SOCK_DGRAM, protocol: 136, transport: "udp:" },
];

function hasProtocol(type: number, protocol: number): boolean {
  const number = libc().socket(AF_INET, type | SOCK_CLOEXEC, protocol);
  if (number >= 0) new Fd(number).close();
  return number >= 0;
}

async function parse(text: string): Promise<Address> {
  return await resolveAddress(splitAddress(text));
}

/** Says what a binder for `claimed` finds wrong with a socket that is bound to `bound`. */
async function refusalOf(bound: string, claimed: string): Promise<string | undefined> {
  const { fd } = listen(await parse(bound), 10);
  using socket = fd;
  return whyUnfit(socket, await parse(claimed));
}

Deno.test("a socket that a binder would have bound is taken", async () => {
  await leavesNoDescriptors(async () => {
    using folder = tempDir();
    const [host, port] = [loopbackHost(), freePort()];
    const addresses = [
      `${host}:${port}`,
      `0.0.0.0:${port}`,
      `[::1]:${port}`,
      `[::]:${port}`,
      `[::]:${port},v4v6`,
      `udp:${host}:${port}`,
      `udp:[::]:${port},v4v6`,
      `unix:${folder.file("site.sock")}`,
    ];
    for (const address of addresses) {
      assertStrictEquals(await refusalOf(address, address), undefined, address);
    }
  });
});

Deno.test("a socket of another address or type is not taken", async () => {
  await leavesNoDescriptors(async () => {
    using folder = tempDir();
    const [host, port] = [loopbackHost(), freePort()];
    const [path, other] = [folder.file("a"), folder.file("b")];
    const pairs: [bound: string, claimed: string, listensOn?: string][] = [
      [`${host}:${port}`, `${host}:${port + 1}`],
      [`${host}:${port}`, `0.0.0.0:${port}`],
      [`0.0.0.0:${port}`, `${host}:${port}`],
      [`${host}:${port}`, `udp:${host}:${port}`],
      [`udp:${host}:${port}`, `${host}:${port}`],
      [`[::]:${port},v4v6`, `[::]:${port}`],
      [`[::]:${port}`, `[::]:${port},v4v6`],
      [`[::]:${port},v4v6`, `0.0.0.0:${port}`],
      [`unix:${path}`, `unix:${other}`],
      [`unix:${path}`, `${host}:${port}`],
    ];
    for (const [bound, claimed] of pairs) {
      assertStrictEquals(await refusalOf(bound, claimed), `it listens on ${bound}`, claimed);
      Deno.removeSync(folder.path, { recursive: true });
      Deno.mkdirSync(folder.path);
    }
  });
});

Deno.test("a socket that does not listen is not taken", async () => {
  const [host, port] = [loopbackHost(), freePort()];
  const address = await parse(`${host}:${port}`);
  using bound = createSocket(AF_INET, SOCK_STREAM);
  assertStrictEquals(whyUnfit(bound, address), "it is no listening socket", "not even bound");
  bindSocket(bound, { family: "inet", host, port });
  assertStrictEquals(whyUnfit(bound, address), "it is no listening socket");
  listenSocket(bound, 10);
  assertStrictEquals(whyUnfit(bound, address), undefined);

  using unbound = createSocket(AF_INET, SOCK_DGRAM);
  const anyPort = await parse("udp:0.0.0.0:0");
  assertStrictEquals(whyUnfit(unbound, anyPort), "it is no listening socket");

  using folder = tempDir();
  const path = folder.file("site.sock");
  using datagrams = createSocket(AF_UNIX, SOCK_DGRAM);
  bindSocket(datagrams, { family: "unix", path });
  assertStrictEquals(whyUnfit(datagrams, await parse(`unix:${path}`)), "it is no listening socket");
});

/** Listens on a path until its input ends. */
const SERVER = `
import socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); print("up", flush=True); sys.stdin.read()
`;

Deno.test("a UNIX socket that its path does not lead to is not taken", async () => {
  using folder = tempDir();
  const path = folder.file("site.sock");
  const address = await parse(`unix:${path}`);
  const { fd } = listen(address, 10);
  using socket = fd;
  const gone = "its file is gone, or is another's";
  Deno.removeSync(path);
  assertStrictEquals(whyUnfit(socket, address), gone);
  Deno.writeTextFileSync(path, "precious");
  assertStrictEquals(whyUnfit(socket, address), gone);
  Deno.removeSync(path);
  await using other = startProgram(["python3", "-c", SERVER, path]);
  await other.waitFor(/up/);
  assertStrictEquals(whyUnfit(socket, address), gone);
});

Deno.test("an earlier socket of the same path is not taken, though the same process serves that path", async () => {
  using folder = tempDir();
  const address = await parse(`unix:${folder.file("site.sock")}`);
  using twin = listen(address, 10).fd;
  Deno.removeSync(folder.file("site.sock"));
  using socket = listen(address, 10).fd;
  assertStrictEquals(whyUnfit(twin, address), "its file is gone, or is another's");
  assertStrictEquals(whyUnfit(socket, address), undefined);
});

Deno.test("a socket that a bind would have made otherwise is not taken", async () => {
  const [host, port] = [loopbackHost(), freePort()];
  const tcp = await parse(`${host}:${port}`);
  const udp = await parse(`udp:${host}:${port}`);
  const at = (fd: Fd) => bindSocket(fd, { family: "inet", host, port });
  {
    using shared = createSocket(AF_INET, SOCK_STREAM);
    setOption(shared, SOL_SOCKET, SO_REUSEPORT, 1);
    at(shared);
    listenSocket(shared, 10);
    const why = "it may share its port with other sockets (SO_REUSEPORT)";
    assertStrictEquals(whyUnfit(shared, tcp), why);
  }
  {
    using connected = createSocket(AF_INET, SOCK_DGRAM);
    at(connected);
    assertStrictEquals(whyUnfit(connected, udp), undefined);
    const peer = encodeAddress({ family: "inet", host, port });
    libc().connect(connected.number, peer, peer.length);
    assertStrictEquals(whyUnfit(connected, udp), "it is connected to one peer");
  }
});

for (const { name, type, protocol, transport } of KINDS) {
  Deno.test({
    name: `a socket of ${name} is not taken`,
    ignore: ignoreUnless(hasProtocol(type, protocol), `this kernel has no ${name}`),
    fn: async () => {
      const [host, port] = [loopbackHost(), freePort()];
      using socket = new Fd(
        check("socket", () => libc().socket(AF_INET, type | SOCK_CLOEXEC, protocol)),
      );
      bindSocket(socket, { family: "inet", host, port });
      if (type === SOCK_STREAM) listenSocket(socket, 10);
      const why = whyUnfit(socket, await parse(`${transport}${host}:${port}`));
      assertStrictEquals(why, `it is of protocol ${protocol}`);
    },
  });
}

Deno.test("a socket of an IPv4-mapped address is not taken for one of both families", async () => {
  const port = freePort();
  using mapped = createSocket(AF_INET6, SOCK_STREAM);
  setOption(mapped, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  bindSocket(mapped, { family: "inet6", host: "::ffff:127.0.0.1", port, scope: 0 });
  listenSocket(mapped, 10);
  for (const claimed of [`[::]:${port},v4v6`, `127.0.0.1:${port}`, `[::]:${port}`]) {
    assertStrictEquals(whyUnfit(mapped, await parse(claimed)), "it is no listening socket");
  }
});

Deno.test("what is no socket is not taken", async () => {
  using file = createMemfd("none");
  assertStrictEquals(whyUnfit(file, await parse("127.0.0.1:80")), "it is no socket");
});

/** Binds a port, and sends the socket to whoever listens on a path. */
const SENDER = `
import socket, sys
listening = socket.create_server(("0.0.0.0", int(sys.argv[2])))
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
socket.send_fds(connection, [b"x"], [listening.fileno()])
connection.recv(1)
`;

/** The options by which this user may run a program in a network namespace of its own. */
const UNSHARE = [["--net"], ["--map-root-user", "--net"]].find((options) => {
  try {
    return new Deno.Command("unshare", { args: [...options, "true"], stderr: "null" }).outputSync()
      .success;
  } catch {
    return false;
  }
});

const poller = new Poller();

/** The socket that a program started with these words sends. */
async function sentBy(words: readonly string[], port: number): Promise<Fd> {
  using folder = tempDir();
  const path = folder.file("sock");
  using listening = createSocket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK);
  bindSocket(listening, { family: "unix", path });
  listenSocket(listening, 1);
  const [program = "", ...args] = [...words, "python3", "-c", SENDER, path, String(port)];
  await using _sender = startProgram([program, ...args]);
  await poller.wait(listening, POLLIN, 20_000);
  using connection = acceptSocket(listening) ?? fail("nobody came");
  await poller.wait(connection, POLLIN, 20_000);
  const [fd] = receiveMessage(connection, new Uint8Array(1))?.fds ?? [];
  return fd ?? fail("no descriptor came");
}

Deno.test({
  name: "a socket of another network namespace is not taken",
  ignore: ignoreUnless(UNSHARE !== undefined, "this user may make no network namespace"),
  fn: async () => {
    const port = freePort();
    const address = await parse(`0.0.0.0:${port}`);
    using here = await sentBy([], port);
    assertStrictEquals(whyUnfit(here, address), undefined);
    using there = await sentBy(["unshare", ...UNSHARE ?? []], port);
    assertStrictEquals(whyUnfit(there, address), "it is in another network namespace");
  },
});
