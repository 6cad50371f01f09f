import {
  assert,
  assertEquals,
  assertMatch,
  assertObjectMatch,
  assertStrictEquals,
  assertThrows,
  fail,
} from "@std/assert";
import {
  AF_UNIX,
  SHUT_RDWR,
  SO_DOMAIN,
  SO_REUSEADDR,
  SO_TYPE,
  SOCK_DGRAM,
  SOCK_STREAM,
  SOL_SOCKET,
} from "../../ffi/constants.ts";
import {
  acceptQueue,
  bindSocket,
  boundAddress,
  connectUnix,
  createSocket,
  getOption,
  listenSocket,
  setOption,
  shutDown,
} from "../../ffi/socket.ts";
import { leavesNoDescriptors } from "../../tests/support/descriptors.ts";
import { asStranger } from "../../tests/support/file_user.ts";
import { loopbackHost, tempDir } from "../../tests/support/temp_dir.ts";
import { type Address, formatAddress, resolveAddress, splitAddress } from "./address.ts";
import { UserError } from "../errors.ts";
import { BindError, namingHolder } from "./bind_error.ts";
import { DEFAULT_BACKLOG, listen, listeningAddress } from "./listen.ts";
import { fileId } from "./place.ts";

const open = async (text: string, backlog = DEFAULT_BACKLOG) =>
  listen(await resolveAddress(splitAddress(text)), backlog);

function portOf(address: Address): number {
  return address.transport === "unix" ? 0 : address.port;
}

/** Connects over TCP; the connection waits in the accept queue. */
async function connects(hostname: string, port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname, port })).close();
    return true;
  } catch (error) {
    assert(error instanceof Deno.errors.ConnectionRefused, String(error));
    return false;
  }
}

/** The error of an address that cannot be bound. */
async function refusal(text: string): Promise<BindError> {
  try {
    (await open(text)).fd.close();
  } catch (error) {
    assert(error instanceof BindError && error instanceof UserError, String(error));
    return await namingHolder(error);
  }
  return fail(`${text} was bound`);
}

Deno.test("port 0 becomes the port that the kernel chose", async () => {
  const host = loopbackHost();
  const { fd, address } = await open(`${host}:0`);
  using socket = fd;
  assert(portOf(address) > 0);
  assertEquals(boundAddress(socket), { family: "inet", host, port: portOf(address) });
  assertStrictEquals(await connects(host, portOf(address)), true);
  assertStrictEquals(socket.closeOnExec, true);
});

Deno.test("an IPv6 address serves IPv6 alone, a star IPv4 alone, v4v6 both", async () => {
  const only = await open("[::]:0");
  assertStrictEquals(await connects("::1", portOf(only.address)), true);
  assertStrictEquals(await connects(loopbackHost(), portOf(only.address)), false);
  only.fd.close();

  const four = await open("*:0");
  assertStrictEquals(await connects("127.0.0.1", portOf(four.address)), true);
  assertStrictEquals(await connects("::1", portOf(four.address)), false);
  four.fd.close();

  const both = await open("[::]:0,v4v6");
  assertMatch(formatAddress(both.address), /^\[::\]:[1-9]\d*,v4v6$/);
  assertStrictEquals(await connects("::1", portOf(both.address)), true);
  assertStrictEquals(await connects("127.0.0.1", portOf(both.address)), true);
  both.fd.close();
});

Deno.test("an abstract name is bound, with padding and without: two names", async () => {
  const name = crypto.randomUUID();
  const places = {
    [`unix:@${name}`]: `\0${name}`,
    [`abns@${name}`]: `\0${name}`.padEnd(108, "\0"),
  };
  const bound: Disposable[] = [];
  for (const [text, path] of Object.entries(places)) {
    const { fd, file } = await open(text);
    bound.push(fd);
    assertStrictEquals(file, undefined, "there is no file to remove");
    connectUnix(path).close();
    const address = listeningAddress(fd);
    assertStrictEquals(address && formatAddress(address), text);
    assertMatch((await refusal(text)).message, /another process has that name \(EADDRINUSE\)/);
  }
  bound.forEach((fd) => fd[Symbol.dispose]());
});

Deno.test("an abstract name that no text of ours can mean is nobody's address", () => {
  for (const path of ["\0", "\0a\0b", "\0a\0"]) {
    using fd = createSocket(AF_UNIX, SOCK_STREAM);
    bindSocket(fd, { family: "unix", path: path + (path === "\0" ? "\0" : "") });
    listenSocket(fd, 1);
    assertStrictEquals(listeningAddress(fd), undefined);
  }
});

Deno.test("an IPv6 address and an IPv4 address share a port", async () => {
  const six = await open("[::]:0");
  const four = await open(`${loopbackHost()}:${portOf(six.address)}`);
  four.fd.close();
  six.fd.close();
});

Deno.test("[::1]:0 gets a port, whose address is written back", async () => {
  const { fd, address } = await open("[::1]:0");
  assertMatch(formatAddress(address), /^\[::1\]:[1-9]\d*$/);
  assertStrictEquals(await connects("::1", portOf(address)), true);
  fd.close();
});

Deno.test("a UDP socket is bound and receives", async () => {
  const host = loopbackHost();
  const { fd, address } = await open(`udp:${host}:0`);
  assertStrictEquals(getOption(fd, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
  const error = await refusal(`udp:${host}:${portOf(address)}`);
  assertMatch(error.message, new RegExp(`\\(pid ${Deno.pid}\\)`));
  fd.close();
});

Deno.test("the accept queue is as long as asked, up to the kernel's own limit", async () => {
  const most = Number(Deno.readTextFileSync("/proc/sys/net/core/somaxconn"));
  for (const backlog of [1, 100, 2 ** 31 - 1]) {
    const { fd } = await open(`${loopbackHost()}:0`, backlog);
    assertStrictEquals(acceptQueue(fd).limit, Math.min(backlog, most));
    fd.close();
  }
});

Deno.test("a port that this process holds is said to be in use by it", async () => {
  const host = loopbackHost();
  const { fd, address } = await open(`${host}:0`);
  const text = formatAddress(address);
  const error = await refusal(text);
  const command = Deno.readTextFileSync("/proc/self/comm").trim();
  assertStrictEquals(
    error.message,
    `${text}: the address is in use by ${command} (pid ${Deno.pid}) (EADDRINUSE)`,
  );
  assertEquals([error.code, error.address, error.exitCode], ["EADDRINUSE", text, 1]);
  fd.close();
});

Deno.test("a port that another process holds is said to be in use by that one", async () => {
  const host = loopbackHost();
  const program = "import socket, sys; s = socket.create_server((sys.argv[1], 0)); " +
    "print(s.getsockname()[1], flush=True); sys.stdin.read()";
  const child = new Deno.Command("python3", {
    args: ["-c", program, host],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  const port = new TextDecoder().decode((await reader.read()).value).trim();
  const error = await refusal(`${host}:${port}`);
  assertMatch(error.message, new RegExp(`in use by python3\\S* \\(pid ${child.pid}\\)`));
  await child.stdin.close();
  await reader.cancel();
  await child.status;
});

Deno.test("an address that this machine has not is said to be so", async () => {
  // TEST-NET-1 and the documentation prefix (RFC 5737, RFC 3849): nobody's.
  for (const text of ["192.0.2.1:8080", "[2001:db8::1]:8080", "udp:192.0.2.1:8080"]) {
    const error = await refusal(text);
    assertStrictEquals(error.code, "EADDRNOTAVAIL");
    assertMatch(error.message, /: this machine has no such address; `ip address` lists its own/);
  }
});

Deno.test("an address that the kernel wants to be written otherwise is said to be so", async () => {
  const expected = {
    "[fe80::1]:8080": "a link-local address needs its interface, as in [fe80::1%eth0]",
    "[::ffff:127.0.0.1]:8080": "write it as the IPv4 address, 127.0.0.1",
  };
  for (const [text, why] of Object.entries(expected)) {
    assertStrictEquals((await refusal(text)).message, `${text}: ${why} (EINVAL)`);
  }
});

Deno.test("a UNIX socket is made with its file, which is told", async () => {
  using dir = tempDir();
  const path = dir.file("site.sock");
  const { fd, address, file } = await open(`unix:${path}`);
  assertEquals(address, { transport: "unix", path });
  assertEquals(file, fileId(path));
  connectUnix(path).close();

  const error = await refusal(`unix:${path}`);
  const command = Deno.readTextFileSync("/proc/self/comm").trim();
  assertStrictEquals(
    error.message,
    `unix:${path}: it is served by ${command} (pid ${Deno.pid}) (EADDRINUSE)`,
  );
  assertEquals(fileId(path), file);
  fd.close();
});

Deno.test("a UNIX socket that cannot be made is refused with the reason", async () => {
  using dir = tempDir();
  const missing = await refusal(`unix:${dir.file("missing/site.sock")}`);
  assertStrictEquals(missing.code, "ENOENT");
  assertMatch(missing.message, /missing\/site\.sock: its folder does not exist \(ENOENT\)$/);
  Deno.writeTextFileSync(dir.file("precious"), "");
  const taken = await refusal(`unix:${dir.file("precious")}`);
  assertMatch(taken.message, /precious: the file exists and is not a socket; .* \(EADDRINUSE\)$/);

  Deno.chmodSync(dir.path, 0o555);
  const address: Address = { transport: "unix", path: dir.file("site.sock") };
  assertObjectMatch(
    assertThrows(
      () => asStranger(() => listen(address, 1)),
      BindError,
      /no permission to create the socket in that folder/,
    ),
    { code: "EACCES" },
  );
  Deno.chmodSync(dir.path, 0o755);
});

Deno.test("an address that is refused leaves no descriptor open", async () => {
  using dir = tempDir();
  await leavesNoDescriptors(async () => {
    await refusal("192.0.2.1:8080");
    await refusal(`unix:${dir.path}`);
  });
});

Deno.test("beside a dead UDP socket another one is bound, and nobody else's", async () => {
  for (const text of [`udp:${loopbackHost()}:0`, "udp:[::1]:0"]) {
    const { fd: dead, address } = await open(text);
    using _dead = dead;
    shutDown(dead, SHUT_RDWR);
    assertThrows(() => listen(address, 0), BindError);
    using fd = listen(address, 0, {}, dead).fd;
    const found = boundAddress(fd);
    assert(found !== undefined && found.family !== "unix");
    using other = createSocket(getOption(fd, SOL_SOCKET, SO_DOMAIN), SOCK_DGRAM);
    setOption(other, SOL_SOCKET, SO_REUSEADDR, 1);
    assertObjectMatch(assertThrows(() => bindSocket(other, found)) as object, {
      code: "EADDRINUSE",
    });
  }
});
