/** What a binder says of a config that it has read again. */

/** What was new in it. Addresses are in their canonical form. */
export interface Changes {
  bound: readonly string[];
  gone: readonly string[];
  /** Addresses that are no longer named but still held, and why. */
  kept: Readonly<Record<string, string>>;
  /** Whether the clients that may connect, or the addresses that they may ask for, have changed. */
  rules: boolean;
  /** Options that only a restart changes, by their names in the program. */
  needRestart: readonly string[];
}

/** All of it, in one line. */
export function describeChanges({ bound, gone, kept, rules, needRestart }: Changes): string {
  const parts = [
    ...bound.length > 0 ? [`bound ${bound.join(", ")}`] : [],
    ...gone.length > 0 ? [`gave up ${gone.join(", ")}`] : [],
    ...Object.entries(kept).map(([address, why]) => `kept ${address}: ${why}`),
    ...rules ? ["changed who may connect, or ask for what"] : [],
    ...needRestart.length > 0
      ? [`a restart is needed for ${needRestart.map(written).join(", ")}`]
      : [],
  ];
  return parts.length > 0 ? parts.join("; ") : "nothing has changed";
}

/** An option's name as one writes it. */
function written(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
