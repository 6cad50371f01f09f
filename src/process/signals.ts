/**
 * The signals by which a role is told what to do. Until a program listens for one, it ends the program; and
 * scripts send a reload right after a start. So the entry catches them before it does anything else, and
 * the role gets what has come by then once it listens.
 * @module
 */

const SIGNALS = ["SIGHUP", "SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2"] as const;

export type RoleSignal = typeof SIGNALS[number];

/** Those that came before anybody listened, in their order. */
const early: RoleSignal[] = [];
/** What happens to one that is caught. */
let take = (name: RoleSignal): void => void early.push(name);
const catchers = new Map<RoleSignal, () => void>();

/** Keeps them for later. */
export function catchSignals(): void {
  for (const name of SIGNALS) {
    const catcher = () => take(name);
    catchers.set(name, catcher);
    Deno.addSignalListener(name, catcher);
  }
  // Of a write beyond a limit (LimitFSIZE=), to the log or to a file in memory: it fails, and ends nothing.
  Deno.addSignalListener("SIGXFSZ", () => {});
}

/** Does from now on what each of them means, and first what those caught mean. */
export function listenForSignals(handlers: Readonly<Record<RoleSignal, () => void>>): void {
  for (const name of SIGNALS) {
    // In this order: a signal that nobody listens for ends the program.
    Deno.addSignalListener(name, handlers[name]);
    stopCatching(name);
  }
  early.splice(0).forEach((name) => handlers[name]());
}

/**
 * For what is no role after all: each signal does to this process what it does to any.
 * @param send kill(2), which is given: every start of the program loads this file, and would load libc's
 */
export function leaveSignals(send: (pid: number, name: RoleSignal) => void): void {
  // A signal may have come that this program is told of only later: the catchers stay.
  take = (name) => {
    stopCatching(name);
    send(Deno.pid, name);
  };
  early.splice(0).forEach(take);
}

function stopCatching(name: RoleSignal): void {
  const catcher = catchers.get(name);
  if (catcher) Deno.removeSignalListener(name, catcher);
  catchers.delete(name);
}
