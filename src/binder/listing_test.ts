import { assert, assertEquals } from "@std/assert";
import "../../tests/support/libc.ts";
import { loopbackHost, tempDir } from "../../tests/support/temp_dir.ts";
import { compile, libc } from "../../ffi/libc.ts";
import { numericAddress, splitAddress } from "../sockets/address.ts";
import { expandAddresses } from "../sockets/address_list.ts";
import { Clients } from "../control/clients.ts";
import { Registry } from "../sockets/registry.ts";
import { wantedOf } from "../sockets/wanted.ts";
import { Ledger } from "./ledger.ts";
import { Listing } from "./listing.ts";

// Now, or it would be while calls are counted.
compile("getsockopt");

/** What a binder that holds some addresses lists of them. */
function hold(text: string) {
  const registry = new Registry(1000);
  const bind = (text: string) =>
    registry.bind(
      expandAddresses(text).map((one) => {
        const parts = splitAddress(one);
        const address = numericAddress(parts);
        assert(address !== undefined);
        return wantedOf(address, parts);
      }),
    );
  bind(text);
  const listing = new Listing({
    registry,
    ledger: new Ledger(),
    clients: new Clients(),
    alarm: { troubles: [] },
  });
  return { bind, listing, text, [Symbol.dispose]: () => registry.close() };
}

Deno.test("all options of a socket are listed: the kernel's, those of its address, and those of its file", async () => {
  using folder = tempDir();
  const [host, path] = [loopbackHost(), folder.file("site.sock")];
  const written = [
    `${host}:80,backlog=7,mss=1400,defer-accept,tfo`,
    `${host}:81,interface=lo,freebind`,
    `${host}:82,reuseport=2,backlog=9`,
    `udp:${host}:83`,
    `[::]:0,v4v6`,
    `unix:${path},mode=640`,
    `unix:@${crypto.randomUUID()}`,
  ];
  using held = hold(written.join(","));
  const options = async () => (await held.listing.page(0)).sockets.map((one) => one.options);
  const [user, group] = [String(Deno.uid()), String(Deno.gid())];
  const backlog = 1000;
  assertEquals(await options(), [
    { backlog: 7, mss: 1400, "defer-accept": true, tfo: true },
    { backlog, interface: "lo", freebind: true },
    { backlog: 9, reuseport: "1/2" },
    { backlog: 9, reuseport: "2/2" },
    {},
    { backlog, v4v6: true },
    { backlog, mode: "640", user, group },
    { backlog },
  ]);
  // Nothing is said of a file that somebody else has put there.
  Deno.removeSync(path);
  Deno.writeTextFileSync(path, "");
  assertEquals((await options())[6], { backlog });
});

Deno.test("an option that is set is listed at once", async () => {
  using held = hold(`${loopbackHost()}:80,backlog=7`);
  const options = async () => (await held.listing.page(0)).sockets[0]?.options;
  assertEquals(await options(), { backlog: 7 });
  held.bind(held.text.replace("backlog=7", "mss=1300"));
  assertEquals(await options(), { backlog: 7, mss: 1300 });
});

Deno.test("a look at a socket takes a few system calls, and an answer is short", async () => {
  using held = hold(`${loopbackHost()}:20000-20499`);
  await held.listing.page(0);
  const { getsockopt } = libc();
  let calls = 0;
  const counting: typeof getsockopt = (...args) => {
    calls++;
    return getsockopt(...args);
  };
  Object.defineProperty(libc(), "getsockopt", { configurable: true, value: counting });
  try {
    const { sockets, next } = await held.listing.page(0);
    assertEquals(next, sockets.length);
    assert(calls <= 3 * sockets.length, `${calls} calls for ${sockets.length} sockets`);
    const { length } = JSON.stringify(sockets);
    assert(length <= 32 * 1024, `${length} bytes do not fit into a connection's send buffer`);
  } finally {
    Object.defineProperty(libc(), "getsockopt", { configurable: true, value: getsockopt });
  }
});
