/**
 * Keeping secrets out of messages: the values of the environment's variables that a config names, whether it is a
 * template or not. A server that refuses a config quotes what stands there, and an error in a template's code quotes
 * what the code was given; both get into logs, into `status`, and to the binder. What a config spells out itself is
 * no secret, and neither is an address.
 * @module
 */

import type { LEVELS, Log } from "../log.ts";
import { type Piece, scan } from "./scan.ts";

/** Puts `$NAME` wherever a text has the value of that variable. */
export type Hide = (text: string) => string;

/** Characters of the shortest text that is hidden: anything shorter is a part of most messages. */
const SHORTEST = 4;

/**
 * Makes a function that hides the values of variables that configs name, whole and word by word: a server may quote
 * a line, or a word of it.
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

/** A log in which `hide` is applied to all texts. */
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
