import { assertEquals, assertStrictEquals } from "@std/assert";
import "../../tests/support/libc.ts";
import type { Fd } from "../../ffi/fd.ts";
import { effectiveUid } from "../../ffi/process.ts";
import { loopbackHost, tempDir } from "../../tests/support/temp_dir.ts";
import type { Caller } from "../control/handler.ts";
import { createLog } from "../log.ts";
import { type Address, numericAddress, splitAddress } from "../sockets/address.ts";
import { optionsOf } from "../sockets/kernel_options.ts";
import { listen } from "../sockets/listen.ts";
import { Registry } from "../sockets/registry.ts";
import { Adoption } from "./adoption.ts";
import { Holdings } from "./holdings.ts";
import { Ledger } from "./ledger.ts";
import { parsePatterns, Policy } from "./policy.ts";

const OWN = effectiveUid();
/** Of a user who may hand sockets back, and is not trusted. */
const ADOPTER = OWN + 1;

/** A binder's adoption, and what it holds. */
class Scene implements Disposable {
  readonly registry = new Registry(5);
  readonly adoption: Adoption;

  constructor(readonly policy: Policy) {
    const store = { keep: () => {}, release: () => {} };
    const [own, clients] = [{ texts: [] }, { attached: [] }];
    const log = createLog({ format: "text", level: "error" }, () => {});
    this.adoption = new Adoption({
      holdings: new Holdings({ registry: this.registry, store, own, clients, log }, 0),
      ledger: new Ledger(),
      policy,
      access: { trusts: (uid) => uid === OWN },
      isControl: () => false,
    });
  }

  [Symbol.dispose](): void {
    this.registry.close();
  }
}

function parse(text: string): Address {
  const address = numericAddress(splitAddress(text));
  if (address === undefined) throw new Error(`a host name: ${text}`);
  return address;
}

function callerOf(uid: number): Caller {
  return {
    peer: { pid: 1, uid, gid: uid, groups: [] },
    takeFds: () => [],
    attach: () => {},
    note: () => true,
    complain: () => {},
    oweAnswer: () => {},
  };
}

Deno.test("an adopter hands back no option that a bind would refuse it", async () => {
  const address = parse(`${loopbackHost()}:8000`);
  using fd = listen(address, 5).fd;
  const wanted = { address, options: { freebind: true } as const };
  const patterns = await parsePatterns(["*"]);
  using strict = new Scene(new Policy(patterns));
  assertStrictEquals(
    strict.adoption.adopt(wanted, fd, callerOf(ADOPTER)),
    "refused: the option freebind is for root and this binder's user",
  );
  assertEquals(optionsOf(fd, address), {});
  using lax = new Scene(new Policy({ ...patterns, options: ["freebind"] }));
  assertStrictEquals(lax.adoption.adopt(wanted, fd, callerOf(ADOPTER)), "adopted");
  assertEquals(optionsOf(fd, address), { freebind: true });
});

Deno.test("an adopter changes nothing that is held, a trusted client does", async () => {
  using dir = tempDir();
  const path = dir.file("site.sock");
  const address = parse(`unix:${path}`);
  using scene = new Scene(new Policy(await parsePatterns(["*"])));
  const [held] = scene.registry.bind([{ address, options: { mode: "600" } }]);
  using fd = held?.fd.duplicate();
  if (fd === undefined) throw new Error("nothing is held");
  for (const [uid, mode] of [[ADOPTER, 0o600], [OWN, 0o666]] as const) {
    const wanted = { address, options: { mode: "666" } };
    assertStrictEquals(scene.adoption.adopt(wanted, fd, callerOf(uid)), "held");
    assertStrictEquals((Deno.lstatSync(path).mode ?? 0) & 0o777, mode);
  }
});

Deno.test("a client may say that it has what is held, though nobody may ask for that any more", async () => {
  const [kept, gone] = [8000, 8001].map((port) => parse(`${loopbackHost()}:${port}`));
  if (!kept || !gone) throw new Error("two addresses are missing");
  using scene = new Scene(new Policy(await parsePatterns([])));
  const [held] = scene.registry.bind([{ address: kept }]);
  using same = held?.fd.duplicate();
  using other = listen(gone, 5).fd;
  if (same === undefined) throw new Error("nothing is held");
  const adopt = (address: Address, fd: Fd) =>
    scene.adoption.adopt({ address }, fd, callerOf(ADOPTER));
  assertEquals([adopt(kept, same), adopt(gone, other)], ["held", "refused: not allowed"]);
});
