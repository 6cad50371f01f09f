import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import type { Peer } from "../control/handler.ts";
import { Access, accessRules } from "./access.ts";

const OWN = 1000;

function peer(uid: number, gid = uid, groups: number[] = []): Peer {
  return { pid: 1, uid, gid, groups };
}

Deno.test("by default root and the binder's own user are served, and nobody else", () => {
  const access = new Access(accessRules({ uids: [], gids: [] }, OWN));
  assertEquals([0, OWN, 1, 65534].map((uid) => access.rights(peer(uid)).served), [
    true,
    true,
    false,
    false,
  ]);
  assertStrictEquals(access.rights(peer(1, 0, [0])).served, false, "root's group is not root");
});

Deno.test("users and groups are added, supplementary groups count", () => {
  const access = new Access(accessRules({ uids: ["7"], gids: ["8"] }, OWN));
  assertStrictEquals(access.rights(peer(7)).served, true);
  assertStrictEquals(access.rights(peer(9, 8)).served, true);
  assertStrictEquals(access.rights(peer(9, 9, [1, 8])).served, true);
  assertStrictEquals(access.rights(peer(8, 7, [7])).served, false, "a user's number is no group's");
});

Deno.test("those who may hand sockets back may ask for some, and no more than that", () => {
  const access = new Access(accessRules({ uids: [], gids: [], adopters: ["7"] }, OWN));
  const { served, maxFds } = access.rights(peer(7));
  assertEquals([served, maxFds > 0], [true, true]);
  assertEquals([7, 8, OWN, 0].map((uid) => access.mayAdopt(uid)), [true, false, true, true]);
  assertStrictEquals(access.trusts(7), false);
});

Deno.test("everyone may be let in, and gets no power by that", () => {
  const access = new Access(accessRules({ uids: ["*"], gids: [] }, OWN));
  assertEquals(access.rights(peer(65534)), {
    served: true,
    trusted: false,
    maxFds: 0,
    maxBytes: 262144,
  });
  assertEquals([0, OWN, 65534].map((uid) => access.trusts(uid)), [true, true, false]);
  assert(access.rights(peer(OWN)).maxFds > 0);
});
