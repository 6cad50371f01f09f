/**
 * Descriptors that systemd passes on: the sockets of a `.socket` unit, and those of the service's
 * descriptor store (sd_listen_fds(3)). They are `LISTEN_FDS` in number, from 3 on, for the process
 * `LISTEN_PID`, with the names `LISTEN_FDNAMES`, which colons separate.
 * @module
 */

import { SO_TYPE, SOL_SOCKET } from "../../ffi/constants.ts";
import { SystemError } from "../../ffi/errno.ts";
import { Fd } from "../../ffi/fd.ts";
import { getOption } from "../../ffi/socket.ts";
import { EXIT, UserError } from "../errors.ts";

/** The first of them (SD_LISTEN_FDS_START of systemd/sd-daemon.h). */
const FIRST = 3;

/** A descriptor that was passed on. */
export interface PassedFd {
  /** As in FileDescriptorName= or FDNAME=; "unknown" when it has none. */
  name: string;
  /** Close-on-exec, owned by the caller. */
  fd: Fd;
}

/**
 * Takes the descriptors that were passed to this process, once.
 *
 * Anyone can set the variables, and without the descriptors their numbers are those of files that the
 * runtime has opened by itself. So each must be open, a socket, and not close-on-exec: no descriptor that came
 * through the execve is, and every one that the runtime opens.
 * @throws {UserError} when one is not; none of them is closed or changed then
 */
export function takeListenFds(): PassedFd[] {
  const [pid, count = "", names] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"].map(
    (variable) => {
      const value = Deno.env.get(variable);
      Deno.env.delete(variable);
      return value;
    },
  );
  if (Number(pid) !== Deno.pid) return [];
  if (!/^\d{1,6}$/.test(count)) throw refusal(count, "that is no number of descriptors");
  const numbers = Array.from({ length: Number(count) }, (_, index) => FIRST + index);
  for (const number of numbers) {
    const why = uselessness(number);
    if (why !== undefined) throw refusal(count, `descriptor ${number} ${why}`);
  }
  const name = names?.split(":") ?? [];
  return numbers.map((number, index) => {
    return { name: name[index] || "unknown", fd: Fd.inherited(number) };
  });
}

function uselessness(number: number): string | undefined {
  // It is only looked at, and not closed: it may be somebody else's.
  const fd = new Fd(number);
  try {
    if (fd.closeOnExec) return "was not passed on: this program has opened it itself";
    getOption(fd, SOL_SOCKET, SO_TYPE);
    return undefined;
  } catch (error) {
    if (error instanceof SystemError && error.code === "EBADF") return "is not open";
    if (error instanceof SystemError && error.code === "ENOTSOCK") return "is no socket";
    throw error;
  }
}

function refusal(count: string, why: string): UserError {
  const shown = JSON.stringify(count.slice(0, 40));
  return new UserError(
    `the environment has LISTEN_FDS=${shown} for this process, but ${why}; ` +
      "whoever starts it must pass the sockets from descriptor 3 on, or unset LISTEN_PID",
    { exitCode: EXIT.usage },
  );
}
