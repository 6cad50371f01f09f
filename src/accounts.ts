/** Users and groups, by name or number. A number needs no entry anywhere. */

import { findGroup, findUser, type User } from "../ffi/accounts.ts";
import { EXIT, UserError } from "./errors.ts";

/** A number that no account has: (uid_t)-1 means "leave it" to chown(2). */
const NONE = 2 ** 32 - 1;

/**
 * The number of a user.
 * @throws {UserError} when there is none of that name
 * @throws {SystemError} when whoever knows the users does not answer
 */
export function userId(user: string): number {
  return numberIn("user", user) ?? findUser(user)?.uid ?? refuse("user", user, "passwd");
}

/** The number of a group. @throws as {@link userId} */
export function groupId(group: string): number {
  return numberIn("group", group) ?? findGroup(group) ?? refuse("group", group, "group");
}

/**
 * A user to become. Its groups are those of its entry, so that a number needs one here.
 * @throws as {@link userId}
 */
export function account(user: string): User {
  return findUser(numberIn("user", user) ?? user) ?? refuse("user", user, "passwd");
}

function numberIn(kind: string, text: string): number | undefined {
  if (!/^\d+$/.test(text)) return undefined;
  if (Number(text) < NONE) return Number(text);
  throw new UserError(`no ${kind} has the number ${text}`, { exitCode: EXIT.usage });
}

function refuse(kind: string, name: string, database: string): never {
  throw new UserError(
    `there is no ${kind} "${name}": "getent ${database} ${name}" would show one that this system knows`,
    { exitCode: EXIT.usage },
  );
}
