/**
 * Generations whose wrapper was killed: they go on serving, and the next wrapper of the same service
 * retires them.
 *
 * A generation carries in its environment which service it belongs to, and which wrapper started it: its
 * pid and the time of its start, so that a later process with that pid is not taken for it. An orphan is
 * held by a pidfd from the moment it was recognised, so that nobody else is ever signalled.
 * @module
 */

import { POLLIN } from "../../ffi/constants.ts";
import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { copyDescriptor, openProcess, signalProcess } from "../../ffi/pidfd.ts";
import type { Poller } from "../../ffi/poll.ts";
import { formatAddress, toParts } from "../address.ts";
import { listeningAddress } from "../listen.ts";
import type { Log } from "../log.ts";
import type { HeldSocket } from "./binder_link.ts";
import { HARD_STOP, SOFT_STOP } from "./haproxy.ts";

const SERVICE = "MULTIBINDER_SERVICE";
const WRAPPER = "MULTIBINDER_WRAPPER";

/** How long a hard stop may take before the kill, in milliseconds. */
const HARD_STOP_TIME = 5000;

/** A process of a service without its wrapper. */
export interface Orphan {
  pid: number;
  process: Fd;
}

/** The variables that mark a generation of this wrapper. */
export function marksOf(service: string): Record<string, string> {
  return { [SERVICE]: service, [WRAPPER]: `${Deno.pid}:${startTime(Deno.pid)}` };
}

/** Finds the orphans of a service that this process may see. */
export function findOrphans(service: string): Orphan[] {
  return [...Deno.readDirSync("/proc")].flatMap(({ name }) => {
    if (!/^\d+$/.test(name)) return [];
    const pid = Number(name);
    if (!isOrphan(pid, service)) return [];
    const process = openProcess(pid);
    if (process === undefined) return [];
    // Looked at once more: only now can the pid not become another process's.
    if (isOrphan(pid, service)) return [{ pid, process }];
    process.close();
    return [];
  });
}

/**
 * Lets an orphan finish its connections; stops it at the drain cap.
 * @param drain milliseconds
 * @param hardStopTime milliseconds that a hard stop may take before the kill
 */
export async function retireOrphan(
  { pid, process }: Orphan,
  drain: number,
  poller: Poller,
  log: Log,
  hardStopTime: number = HARD_STOP_TIME,
): Promise<void> {
  try {
    log.info("draining a generation of a wrapper that died", { pid });
    const steps = [[SOFT_STOP, drain], [HARD_STOP, hardStopTime], ["SIGKILL", Infinity]] as const;
    for (const [signal, patience] of steps) {
      if (!signalProcess(process, signal)) break;
      if (await poller.wait(process, POLLIN, patience) !== 0) break;
      log.warn("a generation of a wrapper that died does not end", { pid, after: signal });
    }
    log.info("drained", { pid });
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    log.error("cannot retire a generation of a wrapper that died", { pid, error: error.message });
  } finally {
    process.close();
  }
}

/** Copies the listening sockets that orphans hold, one an address, where this process may. The caller owns them. */
export function listeningSocketsOf(orphans: readonly Orphan[]): HeldSocket[] {
  const seen = new Set<string>();
  return socketsOf(orphans).flatMap((fd) => {
    const address = listeningAddress(fd);
    if (address && !seen.has(formatAddress(address))) {
      seen.add(formatAddress(address));
      return [{ param: toParts(address), fd }];
    }
    fd.close();
    return [];
  });
}

function socketsOf(orphans: readonly Orphan[]): Fd[] {
  return orphans.flatMap(({ pid, process }) =>
    descriptorsOf(pid).flatMap((number) => {
      try {
        const isSocket = Deno.readLinkSync(`/proc/${pid}/fd/${number}`).startsWith("socket:");
        return isSocket ? [copyDescriptor(process, Number(number))] : [];
      } catch {
        // EPERM without the right to trace it; ENOENT, EBADF when it closed the descriptor meanwhile.
        return [];
      }
    })
  );
}

function descriptorsOf(pid: number): string[] {
  try {
    return [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) => name);
  } catch {
    return [];
  }
}

function isOrphan(pid: number, service: string): boolean {
  try {
    const variables = Deno.readTextFileSync(`/proc/${pid}/environ`).split("\0");
    if (!variables.includes(`${SERVICE}=${service}`)) return false;
    // In a container its wrapper's pid means another process than here.
    if (pidNamespace(String(pid)) !== pidNamespace("self")) return false;
    const mark = variables.find((variable) => variable.startsWith(`${WRAPPER}=`)) ?? "";
    const [wrapper = "", started = ""] = mark.slice(WRAPPER.length + 1).split(":");
    return startTime(Number(wrapper)) !== started;
  } catch {
    return false; // It ended, or it is another user's.
  }
}

function pidNamespace(process: string): string {
  return Deno.readLinkSync(`/proc/${process}/ns/pid`);
}

/** When a process was started, in clock ticks since the boot: field 22 of /proc/PID/stat (proc(5)). */
function startTime(pid: number): string {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    // The second field is a command in parentheses, which may hold anything.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // A zombie watches over nobody.
    return fields[0] === "Z" ? "" : fields[19] ?? "";
  } catch {
    return "";
  }
}
