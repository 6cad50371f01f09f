/** Users and groups, from wherever the system has them: files, LDAP, SSSD (nsswitch.conf(5)). */

import { SystemError } from "./errno.ts";
import { LAYOUT } from "./layout.ts";
import { libc } from "./libc.ts";
import { addressOf, cString, Struct } from "./memory.ts";

/** A user, with the primary group. */
export interface User {
  name: string;
  uid: number;
  gid: number;
}

/** What these calls return when there is no such entry, besides 0 (getpwnam(3), NOTES). */
const NONE = ["ENOENT", "ESRCH", "EBADF", "EPERM"];

/** Bytes for the texts of an entry, at first and at most; a group lists its members. */
const FIRST_SIZE = 4096;
const MAX_SIZE = 64 * 1024 * 1024;

/**
 * Looks a user up by name, or by number.
 * @returns undefined when there is none
 * @throws {SystemError} when the lookup fails, as when a directory server does not answer
 */
export function findUser(user: string | number): User | undefined {
  const { passwd } = LAYOUT;
  const call = typeof user === "string" ? "getpwnam_r" : "getpwuid_r";
  return find(call, passwd.size, (entry, texts, size, found) => {
    return typeof user === "string"
      ? libc().getpwnam_r(cString(user), entry, texts, size, found)
      : libc().getpwuid_r(user, entry, texts, size, found);
  }, (entry, textAt) => ({
    name: textAt(passwd.pw_name),
    uid: entry.u32(passwd.pw_uid),
    gid: entry.u32(passwd.pw_gid),
  }));
}

/** Looks a group's number up by its name. @returns, @throws as {@link findUser} */
export function findGroup(name: string): number | undefined {
  const { group } = LAYOUT;
  return find(
    "getgrnam_r",
    group.size,
    (entry, texts, size, found) => libc().getgrnam_r(cString(name), entry, texts, size, found),
    (entry) => entry.u32(group.gr_gid),
  );
}

function find<Found>(
  name: string,
  entrySize: number,
  call: (
    entry: Uint8Array<ArrayBuffer>,
    texts: Uint8Array<ArrayBuffer>,
    size: bigint,
    found: BigUint64Array<ArrayBuffer>,
  ) => number,
  read: (entry: Struct, textAt: (offset: number) => string) => Found,
): Found | undefined {
  for (let size = FIRST_SIZE;; size *= 4) {
    const entry = new Struct(entrySize);
    const texts = new Uint8Array(size);
    const found = new BigUint64Array(1);
    const returned = call(entry.bytes, texts, BigInt(size), found);
    const error = new SystemError(name, returned);
    if (error.code === "ERANGE" && size < MAX_SIZE) continue;
    if (returned !== 0 && !NONE.includes(error.code)) throw error;
    if (found[0] === 0n) return undefined;
    // The entry's texts lie in `texts`.
    return read(entry, (offset) => {
      const start = Number(entry.u64(offset) - addressOf(texts));
      return new TextDecoder().decode(texts.subarray(start, texts.indexOf(0, start)));
    });
  }
}
