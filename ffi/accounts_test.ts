import { assertEquals, assertStrictEquals } from "@std/assert";
import "../tests/support/libc.ts";
import { findGroup, findUser } from "./accounts.ts";

Deno.test("users and groups are found by name and by number", () => {
  assertEquals(findUser("root"), { name: "root", uid: 0, gid: 0 });
  assertEquals(findUser(0), { name: "root", uid: 0, gid: 0 });
  assertStrictEquals(findGroup("root"), 0);
});

Deno.test("who is not there is nobody", () => {
  assertStrictEquals(findUser("no such user"), undefined);
  assertStrictEquals(findUser(4_294_967_294), undefined);
  assertStrictEquals(findGroup(""), undefined);
});
