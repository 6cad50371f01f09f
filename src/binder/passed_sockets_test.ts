import { assertEquals, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { leavesNoDescriptors, openFile } from "../../tests/support/descriptors.ts";
import { loopbackHost, tempDir } from "../../tests/support/temp_dir.ts";
import type { Fd } from "../../ffi/fd.ts";
import { AF_INET, SOCK_STREAM } from "../../ffi/constants.ts";
import { createMemfd } from "../../ffi/memfd.ts";
import { createSocket } from "../../ffi/socket.ts";
import { UserError } from "../errors.ts";
import { type Address, formatAddress, resolveAddress, splitAddress } from "../sockets/address.ts";
import { listen } from "../sockets/listen.ts";
import { sortPassed, storeName } from "./passed_sockets.ts";

async function addressOf(text: string): Promise<Address> {
  return await resolveAddress(splitAddress(text));
}

/** A socket as a binder would have made it. */
async function socketOn(text: string): Promise<{ address: Address; fd: Fd; name: string }> {
  const { address, fd } = listen(await addressOf(text), 7);
  return { address, fd, name: storeName(address) };
}

Deno.test("the name in the store is readable, and one that systemd accepts", async () => {
  const names: [address: string, name: string][] = [
    [":80", "tcp-0.0.0.0-80"],
    ["[::1]:80", "tcp-%3A%3A1-80"],
    ["[::]:80,v4v6", "tcp-*-80"],
    ["udp::53", "udp-0.0.0.0-53"],
    ["unix:/run/a:b%é.sock", "unix-/run/a%3Ab%25%C3%A9.sock"],
  ];
  for (const [address, name] of names) {
    assertStrictEquals(storeName(await addressOf(address)), name);
  }
  fc.assert(fc.property(fc.string({ unit: "binary" }), (path) => {
    // fdname_is_valid() of systemd.
    assertMatch(
      storeName({ transport: "unix", path: `/${path}` }),
      /^[\x20-\x39\x3b-\x7e]{1,255}$/,
    );
  }));
});

Deno.test("sockets are told apart by their names, and known by their addresses", async () => {
  using folder = tempDir();
  const host = loopbackHost();
  const sock = folder.file("control.sock");
  await leavesNoDescriptors(async () => {
    const stored = await socketOn(`${host}:80`);
    const configured = await socketOn(`${host}:81`);
    const own = await socketOn(`unix:${folder.file("own.sock")}`);
    const control = await socketOn(`unix:${sock}`);
    const passed = [
      { name: "multibinder.socket", fd: control.fd },
      { name: "web.socket", fd: configured.fd },
      stored,
      own,
    ];
    const files = passed.map(({ fd }) => openFile(fd));
    const sorted = sortPassed(passed, sock, 1000);
    assertEquals(sorted.control?.path, sock);
    assertEquals(
      [sorted.control, ...sorted.configured, ...sorted.stored].map((one) =>
        one && openFile(one.fd)
      ),
      files,
    );
    assertEquals(sorted.configured.map(({ address }) => formatAddress(address)), [
      `${host}:81`,
    ]);
    assertEquals(sorted.stored.map(({ backlog }) => backlog), [7, 1000]);
    assertEquals(sorted.refused, []);
    passed.forEach(({ fd }) => fd.close());
    for (const name of ["own.sock", "control.sock"]) Deno.removeSync(folder.file(name));
  });
});

Deno.test("what is of no use is closed, with the reason", async () => {
  using folder = tempDir();
  const host = loopbackHost();
  await leavesNoDescriptors(async () => {
    const good = await socketOn(`${host}:80`);
    const gone = await socketOn(`unix:${folder.file("gone.sock")}`);
    Deno.removeSync(folder.file("gone.sock"));
    const file = { name: "tcp-127.0.0.1-80", fd: createMemfd("file") };
    const again = { name: "again", fd: good.fd.duplicate() };
    const sorted = sortPassed([good, gone, file, again], "/sock", 1000);
    assertEquals(sorted.refused, [
      { name: gone.name, why: "its file is gone, so nobody can connect" },
      { name: file.name, why: "it is no listening socket" },
      { name: "again", why: "its address is held already" },
    ]);
    assertEquals([gone, file, again].map(({ fd }) => fd.closed), [true, true, true]);
    assertEquals(sorted.stored.map(({ fd }) => fd), [good.fd]);
    good.fd.close();
  });
});

Deno.test("what a unit passes is a listening socket, or an error", async () => {
  await leavesNoDescriptors(() => {
    using fd = createSocket(AF_INET, SOCK_STREAM);
    const error = assertThrows(
      () => sortPassed([{ name: "web.socket", fd }], "/sock", 1000),
      UserError,
    );
    assertStrictEquals(error.exitCode, 2);
    assertMatch(error.message, /passed in LISTEN_FDS as "web.socket", is no listening socket/);
  });
});
