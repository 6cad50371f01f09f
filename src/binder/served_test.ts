import { assertEquals, assertStrictEquals } from "@std/assert";
import "../../tests/support/libc.ts";
import { startProgram } from "../../tests/support/program.ts";
import { loopbackHost } from "../../tests/support/temp_dir.ts";
import { copyDescriptor, openProcess } from "../../ffi/pidfd.ts";
import type { InternetAddress } from "../sockets/address.ts";
import { Registry } from "../sockets/registry.ts";
import type { AttachedClient } from "../control/clients.ts";
import { Served } from "./served.ts";

const ADDRESS: InternetAddress = {
  transport: "tcp",
  family: "inet",
  host: loopbackHost(),
  port: 61_081,
};

/** A wrapper whose newest generation is in this state. */
function wrapper(state: "starting" | "serving", holds: readonly string[]): AttachedClient {
  const generations = [{ number: 1, pid: 1, state }];
  return {
    id: 1,
    pid: 0,
    uid: 0,
    holds,
    report: { service: "a", self: 1, generations, lastReload: null },
  };
}

Deno.test("what a connected wrapper serves is served, and what it only holds is not known from it", async () => {
  const registry = new Registry(5, () => {});
  const held = registry.bind([{ address: ADDRESS }]);
  const [one] = held;
  if (one === undefined) throw new Error("nothing is bound");
  const address = `${ADDRESS.host}:${ADDRESS.port}`;
  try {
    const served = new Served(() => []);
    const look = async (...attached: AttachedClient[]) => (await served.look(held, attached))(one);
    const unserved = await look();
    assertEquals(
      [false, undefined].includes(unserved),
      true,
      "nobody has it, or that cannot be seen",
    );
    assertStrictEquals(await look(wrapper("serving", [address])), true);
    assertStrictEquals(await look(wrapper("serving", [])), unserved);
    assertStrictEquals(await look(wrapper("starting", [address])), unserved);
  } finally {
    registry.close();
  }
});

Deno.test("a process that no wrapper has started is found, and a socket given up is not looked for", async () => {
  const script = "import os, socket, sys\n" +
    `s = socket.create_server(("${ADDRESS.host}", ${ADDRESS.port}))\nos.set_inheritable(s.fileno(), True)\n` +
    "print('bound', flush=True)\nsys.stdin.read()\n";
  // This process gets the very socket, as an heir of the registry would: by a copy of the descriptor.
  await using python = startProgram(["python3", "-c", script], { stdin: "piped" });
  await python.waitFor(/^bound$/);
  using process = openProcess(python.pid);
  if (process === undefined) throw new Error("it has ended");
  const fd = copyDescriptor(process, 3);
  const registry = new Registry(5, () => {});
  registry.add({ address: ADDRESS, fd, backlog: 5, since: 0 });
  const [held] = registry.list();
  if (held === undefined) throw new Error("it is not held");
  const isServed = await new Served(() => [python.pid]).look([held], []);
  assertStrictEquals(isServed(held), true);
  registry.close();
  const after = await new Served(() => []).look([held], []);
  assertStrictEquals(after(held), undefined);
});
