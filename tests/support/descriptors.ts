/** The descriptors of this process, for tests that must leave none open. */

import "./libc.ts";
import type { Fd } from "../../ffi/fd.ts";
import { until } from "./process_status.ts";

/** How many descriptors are open. */
export function openDescriptors(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}

/** How many descriptors are open on one file, as {@link openFile} gives it. */
export function openCopies(file: string): number {
  return [...Deno.readDirSync("/proc/self/fd")].filter(({ name }) => {
    try {
      return Deno.readLinkSync(`/proc/self/fd/${name}`) === file;
    } catch {
      return false; // the one on the folder itself
    }
  }).length;
}

/** What a descriptor is open on, such as `socket:[12345]`: equal for copies of one socket. */
export function openFile(fd: Fd): string {
  return Deno.readLinkSync(`/proc/self/fd/${fd.number}`);
}

/** Runs `action` twice: what the runtime opens once and keeps is there after the first time. */
export async function leavesNoDescriptors(action: () => void | Promise<void>): Promise<void> {
  await action();
  const before = openDescriptors();
  await action();
  // The runtime closes some a moment later, those of the first time maybe only now.
  await until(() => openDescriptors() <= before);
}
