/** The signals by which a wrapper is steered. */

/** What they ask for. */
export interface SignalHandlers {
  reload: () => void;
  stop: () => void;
  upgrade: () => void;
}

/** Listens for signals from now on. */
export function listenForSignals({ reload, stop, upgrade }: SignalHandlers): void {
  Deno.addSignalListener("SIGUSR2", reload);
  Deno.addSignalListener("SIGHUP", reload);
  Deno.addSignalListener("SIGTERM", stop);
  Deno.addSignalListener("SIGINT", stop);
  Deno.addSignalListener("SIGUSR1", upgrade);
}
