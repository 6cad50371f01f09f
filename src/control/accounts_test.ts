import assert from "node:assert/strict";
import "../../tests/support/libc.ts";
import { account, groupId, userId } from "./accounts.ts";
import { UserError } from "../errors.ts";

Deno.test("users and groups are known by name and by number", () => {
  for (const [idOf, file] of [[userId, "/etc/passwd"], [groupId, "/etc/group"]] as const) {
    for (const line of Deno.readTextFileSync(file).trim().split("\n")) {
      const [name = "", , id = ""] = line.split(":");
      assert.equal(idOf(name), Number(id), line);
      assert.equal(idOf(id), Number(id), line);
    }
  }
});

Deno.test("a user to become comes with the primary group", () => {
  for (const line of Deno.readTextFileSync("/etc/passwd").trim().split("\n")) {
    const [name = "", , uid, gid] = line.split(":");
    const expected = { name, uid: Number(uid), gid: Number(gid) };
    assert.deepEqual([account(name), account(String(uid))], [expected, expected]);
  }
});

Deno.test("a number needs no entry, but for a user to become", () => {
  assert.equal(userId("4294967294"), 4294967294);
  assert.equal(groupId("4294967294"), 4294967294);
  assert.throws(() => account("4294967294"), { message: /^there is no user "4294967294": / });
});

Deno.test("who does not exist is named", () => {
  const unknown = (message: RegExp) => (error: unknown) =>
    error instanceof UserError && error.exitCode === 2 && message.test(error.message);
  assert.throws(
    () => userId("no one"),
    unknown(/^there is no user "no one": "getent passwd no one"/),
  );
  assert.throws(() => groupId(""), unknown(/^there is no group "": "getent group "/));
  // chown(2) would leave the owner as it is.
  assert.throws(() => userId("4294967295"), unknown(/^no user has the number 4294967295$/));
  assert.throws(() => account("4294967295"), unknown(/^no user has the number 4294967295$/));
});
