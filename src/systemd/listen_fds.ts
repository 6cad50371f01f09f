/**
 * Descriptors that systemd passes on: the sockets of a `.socket` unit, and those of the service's
 * descriptor store (sd_listen_fds(3)). They are `LISTEN_FDS` in number, from 3 on, for the process
 * `LISTEN_PID`, with the names `LISTEN_FDNAMES`, which colons separate.
 * @module
 */

import { Fd } from "../../ffi/fd.ts";

/** The first of them (SD_LISTEN_FDS_START of systemd/sd-daemon.h). */
const FIRST = 3;

/** A descriptor that was passed on. */
export interface PassedFd {
  /** As in FileDescriptorName= or FDNAME=; "unknown" when it has none. */
  name: string;
  /** Close-on-exec, owned by the caller. */
  fd: Fd;
}

/** Takes the descriptors that were passed to this process, once. */
export function takeListenFds(): PassedFd[] {
  const [pid, count, names] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"].map((variable) => {
    const value = Deno.env.get(variable);
    Deno.env.delete(variable);
    return value;
  });
  if (Number(pid) !== Deno.pid || !/^\d{1,6}$/.test(count ?? "")) return [];
  const name = names?.split(":") ?? [];
  return Array.from({ length: Number(count) }, (_, index) => {
    return { name: name[index] || "unknown", fd: Fd.inherited(FIRST + index) };
  });
}
