import { assertStrictEquals, assertThrows } from "@std/assert";
import { groupId, userId } from "./accounts.ts";
import { UserError } from "../errors.ts";

Deno.test("users and groups are known by name and by number", () => {
  for (const [idOf, file] of [[userId, "/etc/passwd"], [groupId, "/etc/group"]] as const) {
    for (const line of Deno.readTextFileSync(file).trim().split("\n")) {
      const [name = "", , id = ""] = line.split(":");
      assertStrictEquals(idOf(name), Number(id), line);
      assertStrictEquals(idOf(id), Number(id), line);
    }
  }
});

Deno.test("who does not exist is named", () => {
  const message = (action: () => number) => assertThrows(action, UserError).message;
  assertStrictEquals(message(() => userId("no one")), 'there is no user "no one" in /etc/passwd');
  assertStrictEquals(message(() => groupId("")), 'there is no group "" in /etc/group');
  // chown(2) would leave the owner as it is.
  assertStrictEquals(message(() => userId("4294967295")), "no user has the number 4294967295");
});
