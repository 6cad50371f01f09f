import assert from "node:assert/strict";
import { groupId, userId } from "./accounts.ts";
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

Deno.test("who does not exist is named", () => {
  const unknown = (message: string) => (error: unknown) =>
    error instanceof UserError && error.message === message;
  assert.throws(() => userId("no one"), unknown('there is no user "no one" in /etc/passwd'));
  assert.throws(() => groupId(""), unknown('there is no group "" in /etc/group'));
  // chown(2) would leave the owner as it is.
  assert.throws(() => userId("4294967295"), unknown("no user has the number 4294967295"));
});
