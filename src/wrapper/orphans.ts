/**
 * Generations whose wrapper was killed: they go on serving, and the next wrapper of the same service
 * retires them.
 *
 * A generation carries in its environment which service it belongs to, and which wrapper started it: its
 * pid and the time of its start, so that a later process with that pid is not taken for it. An orphan is
 * held by a pidfd from the moment it was recognised, so that nobody else is ever signalled.
 *
 * Anyone can start a process with such an environment. So the sockets that are taken over are the ones
 * that a generation was lent, by their numbers, and of these only what root or this user has made: the
 * kernel knows the maker of a socket, and a socket of anybody else could be anything.
 * @module
 */

import { POLLIN, type SignalName } from "../../ffi/constants.ts";
import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { copyDescriptor, openProcess, signalProcess } from "../../ffi/pidfd.ts";
import type { Poller } from "../../ffi/poll.ts";
import { effectiveUid } from "../../ffi/process.ts";
import { FIRST_FD } from "../../ffi/spawn.ts";
import { messageOf } from "../errors.ts";
import { formatAddress, toParts } from "../sockets/address.ts";
import { listeningAddress } from "../sockets/listen.ts";
import type { Log } from "../log.ts";
import { MARKS } from "../process/own_variables.ts";
import type { HeldSocket } from "./binder_link.ts";
import type { Service } from "../servers/service.ts";

/** How long a hard stop may take before the kill, in milliseconds. */
const HARD_STOP_TIME = 5000;

/** A process of a service without its wrapper. */
export interface Orphan {
  pid: number;
  process: Fd;
  /** How many sockets it says that it was lent: its descriptors from 3 on. */
  lent: number;
}

/**
 * The variables that mark a generation of this wrapper.
 * @param lent how many sockets it is given
 */
export function marksOf(service: string, lent: number): Record<string, string> {
  return {
    [MARKS.service]: service,
    [MARKS.wrapper]: `${Deno.pid}:${startTime(Deno.pid)}`,
    [MARKS.sockets]: String(lent),
  };
}

/** How many sockets a generation says that it was lent, 0 where that cannot be read. */
export function lentTo(pid: number): number {
  try {
    return Number(valueOf(MARKS.sockets, variablesOf(pid))) || 0;
  } catch {
    return 0;
  }
}

/** Finds the orphans of a service that this process may see. */
export function findOrphans(service: string): Orphan[] {
  return [...Deno.readDirSync("/proc")].flatMap(({ name }) => {
    if (!/^\d+$/.test(name)) return [];
    const pid = Number(name);
    // Whoever started this program may have given it the marks.
    if (pid === Deno.pid) return [];
    if (lentToOrphan(pid, service) === undefined) return [];
    const process = openProcess(pid);
    if (process === undefined) return [];
    // Looked at once more: only now can the pid not become another process's.
    const lent = lentToOrphan(pid, service);
    if (lent !== undefined) return [{ pid, process, lent }];
    process.close();
    return [];
  });
}

/**
 * Lets an orphan finish its connections; stops it at the drain cap.
 * @param service what it belongs to
 * @param tell tells it to stop softly
 * @param drain milliseconds
 * @param endDrain ends the drain early
 * @param hardStopTime milliseconds that a hard stop may take before the kill
 */
export async function retireOrphan(
  { pid, process }: Pick<Orphan, "pid" | "process">,
  service: Pick<Service, "stopSignals" | "prepareStop">,
  tell: (pid: number, send: (signal: SignalName) => boolean) => boolean,
  drain: number,
  endDrain: AbortSignal,
  poller: Poller,
  log: Log,
  hardStopTime: number = HARD_STOP_TIME,
): Promise<void> {
  const { soft, hard } = service.stopSignals;
  let isDraining = true;
  let isOver = false;
  const drainEnds = new Promise((resolve) => endDrain.addEventListener("abort", resolve));
  endDrain.addEventListener("abort", () => isDraining && poller.cancel(process));
  try {
    log.info("draining a generation of a wrapper that died", { pid });
    const signal = (name: SignalName) => !isOver && signalProcess(process, name);
    const prepared = service.prepareStop?.({ pid, othersServe: true, signal }).catch((error) =>
      log.error("cannot prepare the stop of the server", { pid, error: messageOf(error) })
    );
    if (!endDrain.aborted) await Promise.race([prepared, drainEnds]);
    const steps = [[soft, drain], [hard, hardStopTime], ["SIGKILL", Infinity]] as const;
    for (const [step, [signal, patience]] of steps.entries()) {
      const send = (name: SignalName) => signalProcess(process, name);
      isDraining = step === 0;
      if (!(isDraining ? tell(pid, send) : send(signal))) break;
      const limit = isDraining && endDrain.aborted ? 0 : patience;
      if (await poller.wait(process, POLLIN, limit) !== 0) break;
      log.warn("a generation of a wrapper that died does not end", { pid, after: signal });
    }
    log.info("drained", { pid });
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    log.error("cannot retire a generation of a wrapper that died", { pid, error: error.message });
  } finally {
    isDraining = false;
    isOver = true;
    process.close();
  }
}

/**
 * Copies the listening sockets that orphans were lent, one an address, where this process may and where
 * root or its own user has made them. The caller owns them.
 */
export function listeningSocketsOf(orphans: readonly Orphan[], log: Log): HeldSocket[] {
  const seen = new Set<string>();
  const trusted = [0, effectiveUid()];
  return orphans.flatMap((orphan) =>
    socketsOf(orphan).flatMap((fd) => {
      const address = listeningAddress(fd);
      const text = address && formatAddress(address);
      const uid = madeBy(fd);
      if (address && text && !trusted.includes(uid)) {
        const { pid } = orphan;
        log.warn("not taken over: neither root nor this user made it", { address: text, pid, uid });
      } else if (address && text && !seen.has(text)) {
        seen.add(text);
        return [{ param: toParts(address), fd }];
      }
      fd.close();
      return [];
    })
  );
}

/** The user who created a socket, which is its inode's owner whoever holds it by now. */
function madeBy(fd: Fd): number {
  return Deno.statSync(`/proc/self/fd/${fd.number}`).uid ?? -1;
}

function socketsOf({ pid, process, lent }: Orphan): Fd[] {
  const numbers = descriptorsOf(pid);
  return numbers.filter((one) => one >= FIRST_FD && one < FIRST_FD + lent).flatMap((number) => {
    try {
      const isSocket = Deno.readLinkSync(`/proc/${pid}/fd/${number}`).startsWith("socket:");
      return isSocket ? [copyDescriptor(process, number)] : [];
    } catch {
      // EPERM without the right to trace it; ENOENT, EBADF when it closed the descriptor meanwhile.
      return [];
    }
  });
}

function descriptorsOf(pid: number): number[] {
  try {
    return [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) => Number(name));
  } catch {
    return [];
  }
}

/** How many sockets an orphan of a service was lent; undefined when the process is none. */
function lentToOrphan(pid: number, service: string): number | undefined {
  try {
    const variables = variablesOf(pid);
    if (!variables.includes(`${MARKS.service}=${service}`)) return undefined;
    // In a container its wrapper's pid means another process than here.
    if (pidNamespace(String(pid)) !== pidNamespace("self")) return undefined;
    const [wrapper = "", started = ""] = valueOf(MARKS.wrapper, variables).split(":");
    if (startTime(Number(wrapper)) === started) return undefined;
    return Number(valueOf(MARKS.sockets, variables)) || 0;
  } catch {
    return undefined; // It ended, or it is another user's.
  }
}

/** The environment that a process was started with. */
function variablesOf(pid: number): string[] {
  return Deno.readTextFileSync(`/proc/${pid}/environ`).split("\0");
}

function valueOf(name: string, variables: readonly string[]): string {
  return variables.find((one) => one.startsWith(`${name}=`))?.slice(name.length + 1) ?? "";
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
