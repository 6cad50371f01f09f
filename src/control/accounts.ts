/** Users and groups by name, as /etc/passwd and /etc/group have them. */

import { EXIT, UserError } from "../errors.ts";

/** A number that no account has: (uid_t)-1 means "leave it" to chown(2). */
const NONE = 2 ** 32 - 1;

/** The number of a user. @throws {UserError} when there is none of that name */
export function userId(user: string): number {
  return lookUp("user", user, "/etc/passwd");
}

/** The number of a group. @throws {UserError} when there is none of that name */
export function groupId(group: string): number {
  return lookUp("group", group, "/etc/group");
}

/** A user, by name or number, with the primary group. @throws {UserError} when there is no such user */
export function account(user: string): { name: string; uid: number; gid: number } {
  const [name = "", , uid, gid] =
    entries("/etc/passwd").find(([name, , uid]) => name === user || uid === user) ?? [];
  if (gid === undefined) throw unknown(`there is no user "${user}" in /etc/passwd`);
  return { name, uid: Number(uid), gid: Number(gid) };
}

function entries(file: string): string[][] {
  return Deno.readTextFileSync(file).split("\n").map((line) => line.split(":"));
}

function lookUp(kind: string, name: string, file: string): number {
  if (/^\d+$/.test(name)) {
    if (Number(name) < NONE) return Number(name);
    throw unknown(`no ${kind} has the number ${name}`);
  }
  const line = entries(file).find(([found]) => found === name);
  if (line?.[2] === undefined) throw unknown(`there is no ${kind} "${name}" in ${file}`);
  return Number(line[2]);
}

/** Accounts are named on the command line alone. */
function unknown(why: string): UserError {
  return new UserError(why, { exitCode: EXIT.usage });
}
