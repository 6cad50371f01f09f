/** The state of a process, as /proc/PID/status has it (proc(5)), and waiting for states. */

import { PATIENCE } from "./deadline.ts";

/**
 * Looking must not take the processor from what is awaited. The longest pause after a look that takes no time, and
 * after any, in milliseconds; and how many times as long as a look the pause after it is.
 */
const SHORT_PAUSE = 10;
const LONG_PAUSE = 100;
const REST = 3;

/** Looks again and again until something holds: of many states nobody is told when they change. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  patience = PATIENCE,
): Promise<void> {
  const start = performance.now();
  for (let pause = 1;; pause = Math.min(2 * pause, SHORT_PAUSE)) {
    const look = performance.now();
    if (await holds()) return;
    const end = performance.now();
    if (end - start > patience) throw new Error(`it did not come to be: ${holds}`);
    const rest = Math.min(Math.max(pause, REST * (end - look)), LONG_PAUSE);
    await new Promise((resolve) => setTimeout(resolve, rest));
  }
}

/** One line of the status; undefined when there is no such process any more. */
export function processStatus(pid: number, name: string): string | undefined {
  const status = textOf(`/proc/${pid}/status`);
  return status && new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1];
}

/** Whether a process has ended, waited for by its parent or not. */
export function hasEnded(pid: number): boolean {
  return processStatus(pid, "State")?.startsWith("Z") ?? true;
}

/** The numbers of the signals in a mask of the status, such as SigIgn. */
export function signalsIn(pid: number, mask: "ShdPnd" | "SigBlk" | "SigIgn" | "SigCgt"): number[] {
  const bits = BigInt(`0x${processStatus(pid, mask)}`).toString(2).split("").reverse();
  return bits.flatMap((bit, index) => bit === "1" ? [index + 1] : []);
}

/** The children of a process. */
export function childrenOf(pid: number): number[] {
  return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name))
    .filter((child) => child > 0 && processStatus(child, "PPid") === String(pid));
}

/** A process and its descendants. */
export function familyOf(pid: number): number[] {
  return [pid, ...childrenOf(pid).flatMap(familyOf)];
}

/** Stops processes where they are, until they get SIGCONT. */
export async function suspend(...pids: number[]): Promise<void> {
  for (const pid of pids) Deno.kill(pid, "SIGSTOP");
  // Each of its threads stops by itself, and may accept one connection more until then.
  const threads = pids.flatMap((pid) =>
    [...Deno.readDirSync(`/proc/${pid}/task`)].map(({ name }) => Number(name))
  );
  await until(() => threads.every((one) => processStatus(one, "State")?.startsWith("T")));
}

/** The name of the program that a process runs. */
export function commandOf(pid: number): string | undefined {
  return textOf(`/proc/${pid}/comm`)?.trim();
}

function textOf(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined; // ended, or just ending
  }
}

/** The process group of a process. */
export function processGroup(pid: number): number {
  // The fields after the name, which may hold spaces: state, ppid, pgrp.
  return Number(textOf(`/proc/${pid}/stat`)?.replace(/^.*\) /s, "").split(" ")[2]);
}
