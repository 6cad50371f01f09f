import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { UserError } from "../errors.ts";
import type { Server } from "./service.ts";
import { SERVERS, understand } from "./servers.ts";

Deno.test("a server is chosen by its program's name, wherever the program is", () => {
  for (const program of ["haproxy", "/usr/sbin/haproxy", "./haproxy-3.2.26", "hapee-lb"]) {
    const { server } = understand([program, "-f", "site.cfg"]);
    assertEquals(server.name, "haproxy", program);
  }
});

Deno.test("a program of no server is refused, with what can be run", () => {
  for (const program of ["nginx", "/haproxy/nginx", "", "xhaproxy", "haproxy/"]) {
    const { message } = assertThrows(() => understand([program, "-f", "site.cfg"]), UserError);
    assert(message.startsWith(`${program}: `));
    assertMatch(message, /does not know this server; it can run haproxy, as in `.+`$/);
  }
});

Deno.test("each server's example is a command that it understands, and only it", () => {
  for (const server of SERVERS) {
    const [program = "", ...rest] = server.example.split(" ");
    assertEquals(understand([program, ...rest]).server, server);
    const isItsOwn = ({ program }: Server) => program.test(server.name);
    assertEquals(SERVERS.filter(isItsOwn), [server]);
    assertMatch(server.help, /\n$/);
  }
});
