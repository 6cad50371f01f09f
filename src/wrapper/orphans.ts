/**
 * Generations whose wrapper was killed: they go on serving, and the next wrapper of the same service
 * retires them.
 *
 * A generation carries in its environment the service that it belongs to, and the pid of the wrapper that started
 * it. That wrapper lives as long as it is an ancestor of the generation; there is no other proof that holds in every
 * namespace. An orphan is held by a pidfd from the moment it was recognised, so that no other process is ever
 * signalled.
 *
 * Anyone can start a process with such an environment. So an orphan is what root or this user has executed,
 * as the kernel has it, and no program that others have started with more rights than their own.
 * @module
 */

import { POLLIN, type SignalName } from "../../ffi/constants.ts";
import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { openProcess, signalProcess } from "../../ffi/pidfd.ts";
import type { Poller } from "../../ffi/poll.ts";
import { effectiveUid } from "../../ffi/process.ts";
import type { Log } from "../log.ts";
import { marksOf } from "../process/marks.ts";
import { descendsFrom, isExecutedBy } from "../process/origin.ts";
import type { Service } from "../servers/service.ts";
import { HARD_STOP_TIME } from "./events.ts";

/** A process of a service without its wrapper. */
export interface Orphan {
  pid: number;
  process: Fd;
  /** How many sockets it says that it was lent: its descriptors from 3 on. */
  lent: number;
}

/** Finds the orphans of a service that this process may see: of a server with workers, the one above them. */
export function findOrphans(service: string, log: Log): Orphan[] {
  const marked = findMarked(service, log);
  // They have its marks as well, and are its own to stop.
  const workers = marked.filter(({ pid }) =>
    marked.some((other) => other.pid !== pid && descendsFrom(pid, other.pid))
  );
  workers.forEach(({ process }) => process.close());
  return marked.filter((one) => !workers.includes(one));
}

function findMarked(service: string, log: Log): Orphan[] {
  return [...Deno.readDirSync("/proc")].flatMap(({ name }) => {
    if (!/^\d+$/.test(name)) return [];
    const pid = Number(name);
    // This program may have got the marks from whoever started it.
    if (pid === Deno.pid) return [];
    if (lentToOrphan(pid, service) === undefined) return [];
    try {
      const process = openProcess(pid);
      if (process === undefined) return [];
      // Looked at once more: only now can the pid not become another process's.
      const lent = lentToOrphan(pid, service);
      if (lent !== undefined) return [{ pid, process, lent }];
      process.close();
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      log.warn("cannot take over from a process", { pid, error: error.message });
    }
    return [];
  });
}

/**
 * Tells an orphan to finish its connections, and stops it hard at the drain cap.
 * @param service what it belongs to
 * @param tell tells it to stop softly
 * @param drain the drain cap, in milliseconds
 * @param endDrain ends the drain early
 * @param hardStopTime milliseconds that a hard stop may take before the kill
 */
export async function retireOrphan(
  { pid, process }: Pick<Orphan, "pid" | "process">,
  service: Pick<Service, "stopSignals">,
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
  endDrain.addEventListener("abort", () => isDraining && poller.cancel(process));
  try {
    log.info("draining a generation of a wrapper that died", { pid });
    // It may have executed another program since it was found.
    const signal = (name: SignalName) =>
      !isOver && isExecutedBy(trusted(), pid) && signalProcess(process, name);
    const steps = [[soft, drain], [hard, hardStopTime], ["SIGKILL", Infinity]] as const;
    for (const [step, [name, patience]] of steps.entries()) {
      isDraining = step === 0;
      if (!(isDraining ? tell(pid, signal) : signal(name))) break;
      const limit = isDraining && endDrain.aborted ? 0 : patience;
      if (await poller.wait(process, POLLIN, limit) !== 0) break;
      log.warn("a generation of a wrapper that died does not end", { pid, after: name });
    }
    // A process that is just ending shows as little of itself as one that is not ours.
    const hasEnded = await poller.wait(process, POLLIN, hardStopTime) !== 0;
    if (hasEnded) log.info("drained", { pid });
    else log.warn("left alone: it runs a program that is not ours to stop by now", { pid });
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    log.error("cannot retire a generation of a wrapper that died", { pid, error: error.message });
  } finally {
    isDraining = false;
    isOver = true;
    process.close();
  }
}

/** The users whose programs an orphan can be. */
export function trusted(): number[] {
  return [0, effectiveUid()];
}

/** How many sockets an orphan of a service was lent; undefined when the process is no orphan of it. */
function lentToOrphan(pid: number, service: string): number | undefined {
  try {
    const marks = marksOf(pid, trusted());
    if (marks?.service !== service) return undefined;
    // In a container its wrapper's pid means another process than here.
    if (pidNamespace(String(pid)) !== pidNamespace("self")) return undefined;
    // A wrapper that was itself started with the marks is no generation.
    if (programOf(String(pid)) === programOf("self")) return undefined;
    return descendsFrom(pid, marks.wrapper) ? undefined : marks.lent;
  } catch {
    return undefined; // It ended, or it is another user's.
  }
}

function pidNamespace(process: string): string {
  return Deno.readLinkSync(`/proc/${process}/ns/pid`);
}

/** The file of the program that a process runs, which may have been replaced since. */
function programOf(process: string): string {
  return Deno.readLinkSync(`/proc/${process}/exe`).replace(/ \(deleted\)$/, "");
}
