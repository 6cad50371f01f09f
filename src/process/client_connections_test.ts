import { assertEquals } from "@std/assert";
import "../../tests/support/libc.ts";
import { loopbackHost } from "../../tests/support/temp_dir.ts";
import { clientConnections } from "./client_connections.ts";

Deno.test("the connections that a process has accepted, and not those that it has made", async () => {
  using listener = Deno.listen({ hostname: loopbackHost(), port: 0 });
  const { hostname, port } = listener.addr;
  const connect = () => Deno.connect({ hostname, port });
  const clients = [await connect(), await connect()];
  const [accepted, other] = [await listener.accept(), await listener.accept()];
  // Somebody listens elsewhere on the number of a port that one of the clients has.
  const number = clients[0]?.localAddr.port ?? 0;
  using _elsewhere = Deno.listen({ hostname: loopbackHost(), port: number });
  assertEquals(clientConnections(Deno.pid, Infinity), 2);
  for (const one of [...clients, accepted, other]) one.close();
});

Deno.test("of a process that is not there nothing is known", () => {
  assertEquals(clientConnections(2 ** 22), undefined);
});

Deno.test("a count that takes too long is given up", () => {
  assertEquals(clientConnections(Deno.pid, -1), undefined);
});
