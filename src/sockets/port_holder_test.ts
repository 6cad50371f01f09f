import { assert, assertEquals, assertNotStrictEquals } from "@std/assert";
import "../../tests/support/libc.ts";
import { loopbackHost } from "../../tests/support/temp_dir.ts";
import type { Address } from "./address.ts";
import { listen } from "./listen.ts";
import { portHolder } from "./port_holder.ts";

/** Any port of the kernel's choice, over each protocol and family. */
const ANY: Exclude<Address, { transport: "unix" }>[] = [
  { transport: "tcp", family: "inet", host: loopbackHost(), port: 0 },
  { transport: "tcp", family: "inet6", host: "::1", port: 0 },
  { transport: "tcp", family: "dual", host: "*", port: 0 },
  { transport: "udp", family: "inet", host: loopbackHost(), port: 0 },
  { transport: "udp", family: "inet6", host: "::1", port: 0 },
];

Deno.test("the holder of a port is found by its pid and command while it holds it", async () => {
  const command = Deno.readTextFileSync("/proc/self/comm").trim();
  for (const wanted of ANY) {
    const { fd, address } = listen(wanted, 1);
    assert(address.transport !== "unix");
    assertEquals(await portHolder(address), { pid: Deno.pid, command });
    fd.close();
    assertNotStrictEquals((await portHolder(address))?.pid, Deno.pid);
  }
});
