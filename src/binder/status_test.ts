import { assertEquals } from "@std/assert";
import "../../tests/support/libc.ts";
import { tempDir } from "../../tests/support/temp_dir.ts";
import { Clients } from "../control/clients.ts";
import { numericAddress } from "../sockets/address.ts";
import { heldFrom } from "../sockets/held.ts";
import { listen } from "../sockets/listen.ts";
import { Registry } from "../sockets/registry.ts";
import { heldSockets } from "./status.ts";

Deno.test("a TCP socket whose queue the kernel does not tell is held, and shown without it", async () => {
  using dir = tempDir();
  // Of a UNIX socket the kernel tells nothing of TCP.
  const { fd } = listen({ transport: "unix", path: dir.file("silent.sock") as `/${string}` }, 5);
  const address = numericAddress({ address: "192.0.2.1", port: 80 });
  const registry = new Registry(5);
  if (address) registry.add(heldFrom(address, fd, 7));
  assertEquals(await heldSockets(registry, new Clients()), [
    { address: "192.0.2.1:80", backlog: 7, holders: [] },
  ]);
  registry.close();
});
