/** Who may connect to a UNIX socket, by the options mode, user and group. */

import { groupId, userId } from "../accounts.ts";
import type { SocketOptions } from "./socket_options.ts";

/** Permissions of a file. */
export interface Permissions {
  /** Permission bits; connecting needs the write bit. */
  mode: number;
  /** Whose the file is to be; this process's own where it does not say. */
  uid?: number;
  gid?: number;
}

/** The mode of a file for which only an owner or a group is named: that of bind(2) with a usual umask. */
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
    ...(user !== undefined && { uid: userId(String(user)) }),
    ...(group !== undefined && { gid: groupId(String(group)) }),
  };
}
