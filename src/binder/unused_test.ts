import { assertEquals } from "@std/assert";
import "../../tests/support/libc.ts";
import { loopbackHost } from "../../tests/support/temp_dir.ts";
import { ignoreUnless } from "../../tests/support/users.ts";
import { spawn } from "../../ffi/spawn.ts";
import { createLog, type Fields } from "../log.ts";
import { formatAddress, resolveAddress } from "../sockets/address.ts";
import type { Held } from "../sockets/held.ts";
import { listen } from "../sockets/listen.ts";
import { Registry } from "../sockets/registry.ts";
import { Ledger } from "./ledger.ts";
import { Unused } from "./unused.ts";

const AFTER = 10_000;

const ignore = ignoreUnless(
  Deno.uid() === 0 && Deno.readLinkSync("/proc/self/ns/pid") === "pid:[4026531836]",
  "not every process can be seen from here",
);
const log = createLog({ format: "text", level: "info" }, () => {});

Deno.test({
  name: "a socket is given up when nothing names it, nobody asks for it, and no process has it",
  ignore,
  async fn() {
    const [host, registry, ledger] = [loopbackHost(), new Registry(10), new Ledger()];
    const named = new Set<string>();
    const released: { held: Held; fields: Fields }[] = [];
    const unused = new Unused({
      registry,
      ledger,
      log,
      after: AFTER,
      isNamed: (address) => named.has(address),
      giveUp(held, fields) {
        registry.release(held.address);
        released.push({ held, fields });
      },
    });
    const addresses = [8000, 8001, 8002, 8003].map((port) => ({ address: host, port }));
    const wanted = await Promise.all(addresses.map((one) => resolveAddress(one)));
    const [idle, used, asked, open] = registry.bind(wanted.map((address) => ({ address })));
    if (!idle || !used || !asked || !open) throw new Error("not held");
    const start = idle.since;
    named.add(formatAddress(used.address));
    const server = spawn({ argv: ["sleep", "60"], env: {}, fds: [open.fd] });
    const waiting = await Deno.connect({ hostname: host, port: 8000 });

    await unused.look(start + AFTER - 1);
    assertEquals(released, []);
    ledger.lend(asked, { pid: 1, uid: 0 }, start + AFTER - 1);
    await unused.look(start + AFTER);
    assertEquals(released, [{ held: idle, fields: { unused: "10s", waiting: 1 } }]);
    await unused.look(start + 2 * AFTER - 1);
    assertEquals(released.map(({ held }) => held), [idle, asked], "the last use counts");

    named.clear();
    Deno.kill(server, "SIGKILL");
    await unused.look(start + 3 * AFTER - 2);
    assertEquals(released.length, 2, "both were seen in use a while ago");
    await unused.look(start + 4 * AFTER);
    assertEquals(registry.list(), []);
    waiting.close();
  },
});

Deno.test({
  name: "a successor gives nothing up before it has seen it unused for as long itself",
  ignore,
  async fn() {
    const registry = new Registry(10);
    const released: Held[] = [];
    const unused = new Unused({
      registry,
      ledger: new Ledger(),
      log,
      after: AFTER,
      isNamed: () => false,
      giveUp: (held) => released.push(held),
    });
    const start = Date.now();
    const address = await resolveAddress({ address: loopbackHost(), port: 8000 });
    // Its predecessor has bound the socket long ago, and has seen until now that a server uses it.
    registry.add({ ...listen(address, 5), backlog: 5, since: start - 10 * AFTER });
    await unused.look(start + AFTER / 2);
    assertEquals(released, []);
    await unused.look(start + 2 * AFTER);
    assertEquals(released, registry.list());
    registry.close();
  },
});
