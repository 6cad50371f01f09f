/** Who may connect to a UNIX socket, by the options mode, user and group. */

import { findGroup, findUser } from "../../ffi/accounts.ts";
import { UserError } from "../errors.ts";
import type { OptionValue, SocketOptions } from "./socket_options.ts";

/** Permissions of a file. */
export interface Permissions {
  /** Permission bits; connecting needs the write bit. */
  mode: number;
  /** Whose the file is to be; this process's own where it does not say. */
  uid?: number;
  gid?: number;
}

/** What a file has that is given to somebody, and nothing is said of its mode: bind(2)'s own with a usual umask. */
const DEFAULT_MODE = 0o755;

/**
 * The permissions that options ask for.
 * @returns undefined when none of them does
 * @throws {UserError} for a user or a group that is not known
 */
export function permissionsOf({ mode, user, group }: SocketOptions): Permissions | undefined {
  if (mode === undefined && user === undefined && group === undefined) return undefined;
  return {
    mode: mode === undefined ? DEFAULT_MODE : parseInt(String(mode), 8),
    ...(user !== undefined && { uid: idOf("user", user, (name) => findUser(name)?.uid) }),
    ...(group !== undefined && { gid: idOf("group", group, findGroup) }),
  };
}

function idOf(
  kind: string,
  value: OptionValue,
  find: (name: string) => number | undefined,
): number {
  const name = String(value);
  const id = /^\d{1,9}$/.test(name) ? Number(name) : find(name);
  if (id === undefined) throw new UserError(`there is no ${kind} "${name}" on this system`);
  return id;
}
