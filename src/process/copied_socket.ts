/**
 * Copying a socket of another process. Under the number of a descriptor there could be anything else, and to close
 * a copy of that could do anything: so it is looked at before it is copied.
 */

import { discard } from "../../ffi/discard.ts";
import type { Fd } from "../../ffi/fd.ts";
import { openPlace } from "../../ffi/file.ts";
import { copyDescriptor } from "../../ffi/pidfd.ts";
import { SystemError } from "../../ffi/errno.ts";
import { effectiveUid } from "../../ffi/process.ts";
import { FIRST_FD } from "../../ffi/spawn.ts";
import { descriptorsOf } from "../proc.ts";

/**
 * Copies a socket if, as the kernel knows, root, this process's user, or one of `makers` has made it.
 * @param process the process with that pid, by a descriptor
 * @param number the descriptor's number over there
 * @param onStranger called with the user who has made the socket, when it is not copied for that reason
 * @param makers further users whose sockets are copied
 * @returns undefined when there is no socket, or none that may be copied
 */
export function copySocket(
  pid: number,
  process: Fd,
  number: number,
  onStranger: (uid: number) => void = () => {},
  makers: readonly number[] = [],
): Fd | undefined {
  try {
    // It is held while it is looked at (O_PATH), which neither opens nor closes the file behind it.
    using place = openPlace(`/proc/${pid}/fd/${number}`);
    const what = targetOf(place);
    // Of a file this is its path. To ask more about it could mean to wait for a file server.
    if (!what.startsWith("socket:")) return undefined;
    const maker = Deno.statSync(`/proc/self/fd/${place.number}`).uid ?? -1;
    if (![0, effectiveUid(), ...makers].includes(maker)) {
      onStranger(maker);
      return undefined;
    }
    const fd = copyDescriptor(process, number);
    if (targetOf(fd) === what) return fd;
    // The process has put something else there meanwhile.
    discard(fd);
    return undefined;
  } catch {
    // There is no right to trace the process, or it has ended, or closed the descriptor.
    return undefined;
  }
}

/**
 * Copies the sockets that a process was lent, as far as they may be copied.
 * @param process the process with that pid, by a descriptor
 * @param lent how many it was lent: its descriptors from 3 on
 * @param onStranger as in {@link copySocket}, and so is `makers`
 * @returns the copies, which the caller owns, in the order of the descriptors' numbers
 */
export function copyLent(
  { pid, process, lent }: { pid: number; process: Fd; lent: number },
  onStranger?: (uid: number) => void,
  makers?: readonly number[],
): Fd[] {
  let numbers: number[];
  try {
    numbers = [...descriptorsOf(pid)].map(([number]) => number);
  } catch (error) {
    if (error instanceof SystemError) return [];
    throw error;
  }
  return numbers.filter((one) => one >= FIRST_FD && one < FIRST_FD + lent)
    .toSorted((a, b) => a - b)
    .flatMap((number) => copySocket(pid, process, number, onStranger, makers) ?? []);
}

function targetOf(fd: Fd): string {
  return Deno.readLinkSync(`/proc/self/fd/${fd.number}`);
}
