/** What `multibinder doctor` finds. */

/** Something that was looked at, how it is, and what to do about it. */
export interface Finding {
  /** What was looked at: a name that stays the same over versions, such as `somaxconn`. */
  check: string;
  /**
   * `failure` for what breaks a promise, `warning` for what costs something or may break one, `unknown` for what
   * could not be seen from here.
   */
  level: "ok" | "unknown" | "warning" | "failure";
  /** A sentence without a full stop. */
  message: string;
  /** What to do about it; absent where there is nothing to do. */
  remedy?: string;
}

/** A finding that there is nothing to do about. */
export function fine(check: string, message: string): Finding {
  return { check, level: "ok", message };
}
