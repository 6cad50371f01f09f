/** Epoll sets (epoll(7)) of other processes, of which this one has a copy. */

import { EPOLL_CTL_DEL } from "./constants.ts";
import { check, SystemError } from "./errno.ts";
import { libc } from "./libc.ts";

/**
 * Takes a descriptor out of an epoll set. A set knows a descriptor by its number and its open file together, so
 * ours must have the number under which it was added.
 * @param set number of our copy of the set
 * @param number of the descriptor, here and where it was added
 * @returns false when it is not in the set
 * @throws {SystemError} EBADF; EINVAL when `set` is no epoll set; EPERM for what cannot be in one
 */
export function removeFromSet(set: number, number: number): boolean {
  try {
    check("epoll_ctl", () => libc().epoll_ctl(set, EPOLL_CTL_DEL, number, null));
    return true;
  } catch (error) {
    if (error instanceof SystemError && error.code === "ENOENT") return false;
    throw error;
  }
}
