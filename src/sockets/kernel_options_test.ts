import { assertEquals, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import "../../tests/support/libc.ts";
import { asUser } from "../../tests/support/file_user.ts";
import { freePort, loopbackHost } from "../../tests/support/temp_dir.ts";
import { ignoreUnless } from "../../tests/support/users.ts";
import { acceptQueue } from "../../ffi/socket.ts";
import { numericAddress, splitAddress } from "./address.ts";
import { BindError } from "./bind_error.ts";
import { lackingOption, optionsOf, setOptions } from "./kernel_options.ts";
import { listen, listeningAddress } from "./listen.ts";
import type { SocketOptions } from "./socket_options.ts";

function open(text: string, backlog = 100) {
  const parts = splitAddress(text);
  const address = numericAddress(parts);
  if (address === undefined) throw new Error(`${text} is a name`);
  return listen(address, backlog, parts.options);
}

/** What a live socket takes, and what must be there from the start; some of it is for root. */
const LIVE: SocketOptions[] = [
  { mss: 1400 },
  { "defer-accept": true },
  { tfo: true },
  { freebind: true },
  ...Deno.uid() === 0 ? [{ transparent: true }, { mark: 7 }, { mark: 2 ** 32 - 1 }] as const : [],
];

Deno.test("each option is with the kernel from the start, on every kind of address, and is read back", () => {
  for (const host of [loopbackHost(), "[::1]", "[::]", "[::]"]) {
    for (const options of [{}, ...LIVE]) {
      const { fd, address } = open(`${host}:${freePort()}`);
      using socket = fd;
      assertEquals(optionsOf(socket, address), {}, "none is there unasked");
      setOptions(socket, address, options, 100);
      assertEquals(optionsOf(socket, address), options, "a live socket takes it");
    }
    for (const options of LIVE) {
      const address = numericAddress({ address: host, port: freePort() });
      if (address === undefined) throw new Error("a name");
      const { fd } = listen(address, 100, options);
      using socket = fd;
      assertEquals(optionsOf(socket, address), options, "a new one has it");
      assertEquals(listeningAddress(socket), address);
      assertStrictEquals(acceptQueue(socket).limit, 100);
      assertStrictEquals(lackingOption(socket, address, options), undefined);
      assertStrictEquals(lackingOption(socket, address, { ...options, mss: 999 }), "mss");
    }
  }
});

Deno.test("Multipath TCP is there from the start or not at all", () => {
  const text = `${loopbackHost()}:${freePort()}`;
  {
    const { fd, address } = open(`${text},mptcp`);
    using socket = fd;
    assertEquals(optionsOf(socket, address), { mptcp: true });
    assertStrictEquals(lackingOption(socket, address, { mptcp: true }), undefined);
    acceptQueue(socket);
  }
  const { fd, address } = open(text);
  using socket = fd;
  const error = assertThrows(
    () => setOptions(socket, address, { mptcp: true }, 1),
    BindError,
    "held without mptcp",
  );
  assertMatch(error.message, /unbind.*\(EBUSY\)$/);
});

Deno.test("a socket for one interface is another than that for all, and is known by it", () => {
  const [host, port] = [loopbackHost(), freePort()];
  const { fd, address } = open(`${host}:${port},interface=lo`);
  using socket = fd;
  assertEquals(listeningAddress(socket), address);
  assertEquals(listeningAddress(socket), {
    transport: "tcp",
    family: "inet",
    host,
    port,
    interface: "lo",
  });
  const missing = assertThrows(() => open(`${host}:${port},interface=nosuch0`), BindError);
  assertMatch(
    missing.message,
    /the kernel refuses interface=nosuch0: there is no such network interface \(ENODEV\)$/,
  );
});

Deno.test("a UDP socket has the options of IP alone", () => {
  const { fd, address } = open(`udp:${loopbackHost()}:${freePort()},freebind`);
  using socket = fd;
  assertEquals(optionsOf(socket, address), { freebind: true });
});

Deno.test({
  name: "what the kernel refuses to this user is named, with what it takes",
  ignore: ignoreUnless(Deno.uid() === 0, "only root can lack what it has"),
  fn() {
    for (const option of ["mark=7", "transparent"]) {
      const text = `${loopbackHost()}:${freePort()},${option}`;
      const error = assertThrows(() => asUser(65534, () => open(text)), BindError);
      assertMatch(error.message, new RegExp(`refuses ${option}: that needs root.* \\(EPERM\\)$`));
    }
  },
});
