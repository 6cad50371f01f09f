/**
 * Copying a socket of another process. What lies under a descriptor's number could be anything, and so could
 * what a copy of it does when it is closed: it is looked at before it is copied.
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
 * Copies a socket, if root or this process's user has made it, or one of others, which the kernel knows.
 * @param process the process with that pid, by a descriptor
 * @param number the descriptor's number over there
 * @param stranger told who has made a socket that is not copied for that
 * @param makers further users whose sockets are copied
 * @returns undefined when there is none to be had
 */
export function copySocket(
  pid: number,
  process: Fd,
  number: number,
  stranger: (uid: number) => void = () => {},
  makers: readonly number[] = [],
): Fd | undefined {
  try {
    // It is held while it is looked at, in a way that neither opens nor closes anything.
    using place = openPlace(`/proc/${pid}/fd/${number}`);
    const what = targetOf(place);
    // A file's name begins with a slash. To ask for more than that a file's server would have to answer.
    if (!what.startsWith("socket:")) return undefined;
    const maker = Deno.statSync(`/proc/self/fd/${place.number}`).uid ?? -1;
    if (![0, effectiveUid(), ...makers].includes(maker)) {
      stranger(maker);
      return undefined;
    }
    const fd = copyDescriptor(process, number);
    if (targetOf(fd) === what) return fd;
    // It has put something else there meanwhile.
    discard(fd);
    return undefined;
  } catch {
    // No right to trace it, or it ended, or it closed the descriptor: the socket is not to be had.
    return undefined;
  }
}

/**
 * Copies the sockets that a process was lent, as far as they are to be had.
 * @param process the process with that pid, by a descriptor
 * @param lent how many it was lent: its descriptors from 3 on
 * @param stranger as in {@link copySocket}, and so is `makers`
 * @returns in the order of their numbers; the caller's
 */
export function copyLent(
  { pid, process, lent }: { pid: number; process: Fd; lent: number },
  stranger?: (uid: number) => void,
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
    .flatMap((number) => copySocket(pid, process, number, stranger, makers) ?? []);
}

function targetOf(fd: Fd): string {
  return Deno.readLinkSync(`/proc/self/fd/${fd.number}`);
}
