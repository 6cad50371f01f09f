/**
 * Values that nobody is told: those of the environment that a config names, a template or not. A server that refuses
 * a config quotes what stands there, and an error of a template's code what it was given; both end up in logs, in
 * `status` and with the binder. What a config spells out itself is no secret, and neither is an address.
 * @module
 */

import type { LEVELS, Log } from "../log.ts";
import { type Piece, scan } from "./scan.ts";

/** Puts `$NAME` wherever a text has the value of that variable. */
export type Hide = (text: string) => string;

/** Characters of what is hidden: anything shorter is a part of every message. */
const SHORTEST = 4;

/**
 * Hides the values of variables that configs name, whole and word by word: a server quotes words, and lines.
 * @param env what templates see as `ENV`, and the server as its environment
 * @param configs their texts
 */
export function hiderOf(env: Readonly<Record<string, string>>, configs: readonly string[]): Hide {
  const words = new Set(configs.flatMap(scan).flatMap(namesIn));
  const names = new Map<string, string>();
  for (const [name, value] of Object.entries(env)) {
    if (!words.has(name)) continue;
    for (const part of [value, ...value.split(/\s+/)]) {
      // Messages show texts as JSON and within a line.
      for (const written of [part, JSON.stringify(part).slice(1, -1)]) {
        if (written.length >= SHORTEST) names.set(written, name);
      }
    }
  }
  if (names.size === 0) return (text) => text;
  const longestFirst = [...names.keys()].toSorted((a, b) => b.length - a.length);
  const values = new RegExp(longestFirst.map(escapeRegExp).join("|"), "g");
  return (text) => text.replace(values, (value) => `$${names.get(value)}`);
}

/** The words of a tag's code, and the variables that a server would put in by itself: `$NAME` and `${NAME}`. */
function namesIn(piece: Piece): string[] {
  if (typeof piece !== "string") return piece.code.match(/\w+/g) ?? [];
  return [...piece.matchAll(/\$\{?(\w+)/g)].map(([, name = ""]) => name);
}

/** A log that hides. */
export function hidingLog(log: Log, hide: Hide): Log {
  const method = (level: typeof LEVELS[number]): Log["info"] => (message, fields = {}) => {
    const hidden = Object.entries(fields)
      .map(([name, value]) => [name, typeof value === "string" ? hide(value) : value] as const);
    log[level](hide(message), Object.fromEntries(hidden));
  };
  return {
    debug: method("debug"),
    info: method("info"),
    warn: method("warn"),
    error: method("error"),
  };
}

function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
}
