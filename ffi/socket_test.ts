import {
  assert,
  assertEquals,
  assertObjectMatch,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { ignoreIfEmulated } from "../tests/support/emulated.ts";
import { listenAbstract } from "../tests/support/connection.ts";
import { leavesNoDescriptors } from "../tests/support/descriptors.ts";
import { tempDir } from "../tests/support/temp_dir.ts";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  IPPROTO_IPV6,
  IPV6_V6ONLY,
  SO_ACCEPTCONN,
  SO_DOMAIN,
  SO_REUSEADDR,
  SO_TYPE,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
} from "./constants.ts";
import type { Fd } from "./fd.ts";
import { sendMessage } from "./fd_passing.ts";
import { FAMILIES, type SocketAddress } from "./sockaddr.ts";
import {
  acceptQueue,
  acceptSocket,
  bindSocket,
  boundAddress,
  connectUnix,
  createSocket,
  getOption,
  listenerCredentials,
  listenSocket,
  peerCredentials,
  setOption,
} from "./socket.ts";

function boundSocket(address: SocketAddress, type = SOCK_STREAM): Fd {
  const fd = createSocket(FAMILIES[address.family], type | SOCK_NONBLOCK);
  try {
    bindSocket(fd, address);
    return fd;
  } catch (error) {
    fd.close();
    throw error;
  }
}

Deno.test("a socket is bound to the address it was given, the kernel choosing port 0", () => {
  using dir = tempDir();
  for (
    const address of [
      { family: "inet", host: "127.0.0.1", port: 0 },
      { family: "inet6", host: "::1", port: 0, scope: 0 },
      { family: "unix", path: dir.file("socket") },
      { family: "unix", path: `\0multibinder-test-${crypto.randomUUID()}` },
    ] as const
  ) {
    using fd = boundSocket(address);
    assertStrictEquals(fd.closeOnExec, true);
    const bound = boundAddress(fd);
    if (bound?.family === "unix") {
      assertEquals<SocketAddress>(bound, address);
    } else {
      assert(bound !== undefined && bound.port > 0);
      assertEquals<SocketAddress>({ ...bound, port: 0 }, address);
    }
  }
});

Deno.test("the longest path can be bound and reached", () => {
  using dir = tempDir();
  const path = dir.path + "/" + "x".repeat(107 - dir.path.length - 1);
  using fd = boundSocket({ family: "unix", path });
  listenSocket(fd, 1);
  assertEquals(boundAddress(fd), { family: "unix", path });
  using _near = connectUnix(path);
  using far = acceptSocket(fd);
  assert(far !== undefined);
});

Deno.test("a socket that is not bound has no address", () => {
  using fd = createSocket(AF_UNIX, SOCK_STREAM);
  assertEquals(boundAddress(fd), { family: "unix", path: "" });
});

Deno.test("binding fails with the errno's name and leaves nothing open", async () => {
  await leavesNoDescriptors(() => {
    using taken = boundSocket({ family: "inet", host: "127.0.0.1", port: 0 });
    const address = boundAddress(taken);
    assert(address !== undefined);
    assertObjectMatch(assertThrows(() => boundSocket(address), Error), {
      syscall: "bind",
      code: "EADDRINUSE",
    });
    // 192.0.2.0/24 is for documentation (RFC 5737): no machine has it.
    assertObjectMatch(
      assertThrows(() => boundSocket({ family: "inet", host: "192.0.2.1", port: 0 }), Error),
      { syscall: "bind", code: "EADDRNOTAVAIL" },
    );
    assertObjectMatch(
      assertThrows(() => boundSocket({ family: "unix", path: "/nonexistent/socket" }), Error),
      { syscall: "bind", code: "ENOENT" },
    );
    assertObjectMatch(assertThrows(() => createSocket(4095, SOCK_STREAM), Error), {
      syscall: "socket",
      code: "EAFNOSUPPORT",
    });
    using datagram = createSocket(AF_INET, SOCK_DGRAM);
    assertObjectMatch(assertThrows(() => listenSocket(datagram, 1), Error), {
      syscall: "listen",
      code: "EOPNOTSUPP",
    });
  });
});

Deno.test("connecting fails without leaving a descriptor", async () => {
  await leavesNoDescriptors(() => {
    assertObjectMatch(assertThrows(() => connectUnix("/nonexistent/socket"), Error), {
      syscall: "connect",
      code: "ENOENT",
    });
    assertObjectMatch(assertThrows(() => connectUnix(`\0${crypto.randomUUID()}`), Error), {
      code: "ECONNREFUSED",
    });
    assertThrows(() => connectUnix("x".repeat(108)), RangeError);
  });
});

Deno.test("a full backlog is EAGAIN, not a wait", () => {
  const { fd, path } = listenAbstract();
  using listening = fd;
  listenSocket(listening, 0);
  using _first = connectUnix(path);
  assertObjectMatch(assertThrows(() => connectUnix(path), Error), {
    syscall: "connect",
    code: "EAGAIN",
  });
});

Deno.test("accepting gives one connection, then none", () => {
  const { fd, path } = listenAbstract();
  using listening = fd;
  assertStrictEquals(acceptSocket(listening), undefined);
  using _near = connectUnix(path);
  using far = acceptSocket(listening);
  assertStrictEquals(far?.closeOnExec, true);
  assertStrictEquals(acceptSocket(listening), undefined);
  using idle = createSocket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK);
  assertObjectMatch(assertThrows(() => acceptSocket(idle), Error), {
    syscall: "accept4",
    code: "EINVAL",
  });
});

Deno.test("options are set and read", () => {
  using fd = createSocket(AF_INET6, SOCK_STREAM);
  assertStrictEquals(getOption(fd, SOL_SOCKET, SO_DOMAIN), AF_INET6);
  assertStrictEquals(getOption(fd, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
  for (const value of [1, 0]) {
    setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, value);
    assertStrictEquals(getOption(fd, IPPROTO_IPV6, IPV6_V6ONLY), value);
    setOption(fd, SOL_SOCKET, SO_REUSEADDR, value);
    assertStrictEquals(getOption(fd, SOL_SOCKET, SO_REUSEADDR), value);
  }
  assertStrictEquals(getOption(fd, SOL_SOCKET, SO_ACCEPTCONN), 0);
  bindSocket(fd, { family: "inet6", host: "::1", port: 0, scope: 0 });
  listenSocket(fd, 1);
  assertStrictEquals(getOption(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
  assertObjectMatch(assertThrows(() => setOption(fd, SOL_SOCKET, 4095, 1), Error), {
    syscall: "setsockopt",
    code: "ENOPROTOOPT",
  });
  assertObjectMatch(assertThrows(() => getOption(fd, SOL_SOCKET, 4095), Error), {
    syscall: "getsockopt",
    code: "ENOPROTOOPT",
  });
});

Deno.test("the peer of a connection is known", () => {
  const { fd, path } = listenAbstract();
  using listening = fd;
  using near = connectUnix(path);
  using far = acceptSocket(listening);
  assert(far !== undefined);
  const [, groups = ""] = /^Groups:(.*)$/m.exec(Deno.readTextFileSync("/proc/self/status")) ?? [];
  const self: object = {
    pid: Deno.pid,
    uid: Deno.uid(),
    gid: Deno.gid(),
    groups: groups.trim().split(/\s+/).filter((group) => group !== "").map(Number),
  };
  assertEquals(peerCredentials(far), self);
  assertEquals(peerCredentials(near), self);
});

const noTcpInfo = ignoreIfEmulated("it knows no TCP_INFO");

Deno.test(
  "the accept queue shows who waits, and listening again changes its limit",
  noTcpInfo,
  async () => {
    using fd = boundSocket({ family: "inet", host: "127.0.0.1", port: 0 });
    listenSocket(fd, 5);
    assertEquals(acceptQueue(fd), { length: 0, limit: 5 });
    const address = boundAddress(fd);
    assert(address?.family === "inet");
    const clients = await Promise.all(
      [1, 2, 3].map(() => Deno.connect({ hostname: "127.0.0.1", port: address.port })),
    );
    try {
      assertEquals(acceptQueue(fd), { length: 3, limit: 5 });
      acceptSocket(fd)?.close();
      listenSocket(fd, 7);
      assertEquals(acceptQueue(fd), { length: 2, limit: 7 });
    } finally {
      clients.forEach((client) => client.close());
    }
  },
);

Deno.test("who asks who listens at a path can be sent nothing", () => {
  const { fd: listening, path } = listenAbstract();
  using _listening = listening;
  const { pid, uid } = listenerCredentials(path);
  assertEquals([pid, uid], [Deno.pid, Deno.uid()]);
  using accepted = acceptSocket(listening);
  assert(accepted !== undefined);
  const error = assertThrows(() => sendMessage(accepted, new Uint8Array(1), [listening]));
  assertObjectMatch(error as object, { code: "EPIPE" });
});
