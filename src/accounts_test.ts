import { assertEquals, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import "../tests/support/libc.ts";
import { account, groupId, userId } from "./accounts.ts";
import { UserError } from "./errors.ts";

Deno.test("users and groups are known by name and by number", () => {
  for (const [idOf, file] of [[userId, "/etc/passwd"], [groupId, "/etc/group"]] as const) {
    for (const line of Deno.readTextFileSync(file).trim().split("\n")) {
      const [name = "", , id = ""] = line.split(":");
      assertStrictEquals(idOf(name), Number(id), line);
      assertStrictEquals(idOf(id), Number(id), line);
    }
  }
});

Deno.test("a user to become comes with the primary group", () => {
  for (const line of Deno.readTextFileSync("/etc/passwd").trim().split("\n")) {
    const [name = "", , uid, gid] = line.split(":");
    const expected = { name, uid: Number(uid), gid: Number(gid) };
    assertEquals([account(name), account(String(uid))], [expected, expected]);
  }
});

Deno.test("a number needs no entry, but for a user to become", () => {
  assertStrictEquals(userId("4294967294"), 4294967294);
  assertStrictEquals(groupId("4294967294"), 4294967294);
  assertThrows(() => account("4294967294"), Error, /^there is no user "4294967294": /);
});

Deno.test("who does not exist is named", () => {
  const refused: [look: () => unknown, message: RegExp][] = [
    [() => userId("no one"), /^there is no user "no one": "getent passwd no one"/],
    [() => groupId(""), /^there is no group "": "getent group "/],
    // chown(2) would leave the owner as it is.
    [() => userId("4294967295"), /^no user has the number 4294967295$/],
    [() => account("4294967295"), /^no user has the number 4294967295$/],
  ];
  for (const [look, message] of refused) {
    const error = assertThrows(look, UserError);
    assertStrictEquals(error.exitCode, 2);
    assertMatch(error.message, message);
  }
});
