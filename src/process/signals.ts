/**
 * The signals by which a role is told what to do. Until a program listens for one, it ends the program; and
 * scripts send a reload right after a start. So the entry catches them before it does anything else, and
 * the role gets what has come by then once it listens.
 * @module
 */

const SIGNALS = ["SIGHUP", "SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2"] as const;

export type RoleSignal = typeof SIGNALS[number];

/** The signals that came before anybody listened, in their order. */
const early: RoleSignal[] = [];
/** What is done with a signal that is caught. */
let take = (name: RoleSignal): void => void early.push(name);
const catchers = new Map<RoleSignal, () => void>();

/** Catches the signals, and keeps them for {@link listenForSignals}. */
export function catchSignals(): void {
  for (const name of SIGNALS) {
    const catcher = () => take(name);
    catchers.set(name, catcher);
    Deno.addSignalListener(name, catcher);
  }
  // SIGXFSZ comes of a write beyond a limit (LimitFSIZE=), to the log or to a file in memory. With a listener, the
  // write fails and nothing else happens.

  Deno.addSignalListener("SIGXFSZ", () => {});
}

/** Has each signal handled from now on, and first those that were caught. */
export function listenForSignals(handlers: Readonly<Record<RoleSignal, () => void>>): void {
  for (const name of SIGNALS) {
    // In this order: a signal that nobody listens for ends the program.
    Deno.addSignalListener(name, handlers[name]);
    stopCatching(name);
  }
  early.splice(0).forEach((name) => handlers[name]());
}

/**
 * Lets each signal do what it does to any other process, for a command that turns out to be no role. Signals that
 * were caught are sent again.
 * @param send kill(2); it is passed in because every start of the program loads this file, and would load libc with it
 */
export function leaveSignals(send: (pid: number, name: RoleSignal) => void): void {
  // The catchers stay, since a signal may have come already of which the runtime tells this program only later.
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
