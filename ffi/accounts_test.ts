import assert from "node:assert/strict";
import "../tests/support/libc.ts";
import { findGroup, findUser } from "./accounts.ts";

Deno.test("users and groups are found by name and by number", () => {
  assert.deepEqual(findUser("root"), { name: "root", uid: 0, gid: 0 });
  assert.deepEqual(findUser(0), { name: "root", uid: 0, gid: 0 });
  assert.equal(findGroup("root"), 0);
});

Deno.test("who is not there is nobody", () => {
  assert.equal(findUser("no such user"), undefined);
  assert.equal(findUser(4_294_967_294), undefined);
  assert.equal(findGroup(""), undefined);
});
