/** Readers of the values of options. */

import { type SignalName, SIGNALS } from "../../ffi/constants.ts";
import { UserError } from "../errors.ts";

/** The longest time that a timer takes, in milliseconds; whole numbers have the same limit. */
const MAX = 2 ** 31 - 1;

/** Reads a whole number. */
export function wholeNumber(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= MAX) return value;
    throw new UserError(`it must be a whole number, at least ${least}`);
  };
}

const UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Reads a duration such as `500ms`, `10s`, `5m`, `1h`; a bare number is seconds. Gives milliseconds. */
export function duration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text);
  const value = Number(match?.[1]) * (UNITS[match?.[2] ?? "s"] ?? 0);
  if (match !== null && value <= MAX) return value;
  throw new UserError("it must be a duration such as 500ms, 10s, 5m or 1h");
}

/** Reads a signal's name, with or without SIG. */
export function signal(text: string): SignalName {
  const name = text.toUpperCase().replace(/^(SIG)?/, "SIG");
  if (Object.hasOwn(SIGNALS, name)) return name as SignalName;
  throw new UserError(`it must be one of ${Object.keys(SIGNALS).join(", ")}`);
}

/** Reads the permission bits of a file, in octal. */
export function fileMode(text: string): number {
  if (/^0?[0-7]{3}$/.test(text)) return parseInt(text, 8);
  throw new UserError("it must be permission bits in octal, such as 0660");
}

/** Reads whom to take sockets from: a pid, or `auto`. */
export function holder(text: string): number | "auto" {
  if (text === "auto") return text;
  if (/^[1-9]\d{0,9}$/.test(text) && Number(text) <= MAX) return Number(text);
  throw new UserError("it must be the pid of a process, or auto");
}
