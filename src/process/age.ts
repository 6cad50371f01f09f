/** How long a process has run, as /proc tells (proc(5)). */

/** Ticks a second of the clock in /proc, the same on every processor (USER_HZ). */
const TICKS = 100;

/** @returns seconds since it was started; null for one that has ended, or cannot be seen */
export function ageOf(pid: number): number | null {
  try {
    const uptime = Number(Deno.readTextFileSync("/proc/uptime").split(" ")[0]);
    // The fields after the name, which may hold spaces: the state is the third, starttime the 22nd of all.
    const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).replace(/^.*\) /s, "").split(" ");
    const age = uptime - Number(fields[22 - 3]) / TICKS;
    return Number.isFinite(age) ? Math.max(0, Math.round(age)) : null;
  } catch {
    return null;
  }
}
