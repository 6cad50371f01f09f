import { assertEquals, assertMatch, assertRejects, assertStrictEquals } from "@std/assert";
import "../../tests/support/libc.ts";
import { Poller } from "../../ffi/poll.ts";
import { loopbackHost } from "../../tests/support/temp_dir.ts";
import { UserError } from "../errors.ts";
import { createLog } from "../log.ts";
import { type Address, formatAddress, numericAddress, splitAddress } from "../sockets/address.ts";
import { listen } from "../sockets/listen.ts";
import { Registry } from "../sockets/registry.ts";
import { Notifier } from "../systemd/notify.ts";
import { Access } from "./access.ts";
import { Config } from "./config.ts";
import { Holdings } from "./holdings.ts";
import { type BinderOptions, lookUpNames } from "./options.ts";
import { OwnAddresses } from "./own_addresses.ts";
import { Policy } from "./policy.ts";
import { Store } from "./store.ts";

const OPTIONS: BinderOptions = {
  addresses: [],
  sock: "/nowhere",
  mode: 0o600,
  allowUid: [],
  allowGid: [],
  adoptUid: [],
  backlog: 5,
  unservedAfter: 1000,
  allow: [],
  hasLists: true,
  allowOption: [],
};

Deno.test("a reload that fails gives up nothing that was held before, be it named or not", async () => {
  const host = loopbackHost();
  const [used, fresh, taken] = [`${host}:8000`, `${host}:8001`, `${host}:8002`];
  const log = createLog({ format: "text", level: "error" }, () => {});
  const registry = new Registry(5);
  const store = new Store(new Notifier(new Poller(), log), registry, log);
  const own = new OwnAddresses(registry);
  const about = { id: 1, pid: 2, uid: 3, report: null };
  const clients = { attached: [{ ...about, holds: [used] }] };
  let addresses = [used];
  const rules = await lookUpNames(OPTIONS, []);
  const config = new Config({
    options: OPTIONS,
    reread: () => Promise.resolve({ ...OPTIONS, addresses }),
    policy: new Policy(rules.policy),
    access: new Access(rules.access),
    own,
    store,
    holdings: new Holdings({ registry, store, own, clients, log }, 0),
    askAgain: () => 0,
    changed: () => {},
    log,
  });
  const held = () => registry.list().map(({ address }) => formatAddress(address));
  assertStrictEquals(await config.readAgain(), `bound ${used}`);
  addresses = [];
  assertMatch(
    await config.readAgain(),
    new RegExp(`^kept ${used}: the wrapper with pid 2 uses it`),
  );
  using _stranger = listen(numericAddress(splitAddress(taken)) as Address, 5).fd;
  addresses = [used, fresh, taken];
  await assertRejects(() => config.readAgain(), UserError, `${taken}: the address is in use`);
  assertEquals(held(), [used]);
  registry.close();
});
