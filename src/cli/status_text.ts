/** A status, for people: whatever members a binder or a wrapper of any version sends. */

import { bold, green, red, yellow } from "@std/fmt/colors";
import { describeAge } from "../duration.ts";
import { UserError } from "../errors.ts";
import { escapeControls } from "../escape.ts";

type Members = Readonly<Record<string, unknown>>;

/** How words that say how something is are shown on a terminal. */
const PAINTS: Readonly<Record<string, (text: string) => string>> = {
  serving: green,
  starting: yellow,
  draining: yellow,
};

/**
 * Describes it: who answers, a line a value, a table a list.
 * @param now the time, in milliseconds since 1970
 * @throws {UserError} when it is no status
 */
export function describeStatus(status: unknown, now: number = Date.now()): string {
  if (!isMembers(status)) throw new UserError("the answer is no status; --json shows it");
  const { role, version, pid, uptimeSeconds, ...rest } = status;
  const title = `${text(role, now)} ${text(version, now)}, pid ${text(pid, now)}`;
  const up = typeof uptimeSeconds === "number" ? `, up ${describeAge(uptimeSeconds * 1000)}` : "";
  const values: [string, unknown][] = [];
  const tables: string[] = [];
  for (const [name, value] of Object.entries(rest)) {
    const rows = Array.isArray(value) ? value.filter(isMembers) : [];
    if (rows.length > 0) tables.push(`\n${bold(label(name))}\n${table(rows, now)}`);
    else values.push([label(name), value]);
  }
  const width = Math.max(0, ...values.map(([name]) => name.length));
  const lines = values.map(([name, value]) => `  ${name.padEnd(width)}  ${shown(value, now)}\n`);
  return `${bold(title)}${up}\n${lines.join("")}${tables.join("")}`;
}

function table(rows: readonly Members[], now: number): string {
  const columns = [...new Set(rows.flatMap(Object.keys))];
  const cells = rows.map((row) => columns.map((name) => text(row[name], now)));
  const all = [columns.map(label), ...cells];
  const widths = columns.map((_, at) => Math.max(...all.map((line) => line[at]?.length ?? 0)));
  return all.map((line) => {
    const padded = line.map((cell, at) => {
      const isLast = at === line.length - 1;
      return (Object.hasOwn(PAINTS, cell) ? PAINTS[cell] ?? plain : plain)(
        isLast ? cell : cell.padEnd(widths[at] ?? 0),
      );
    });
    return `  ${padded.join("  ")}\n`;
  }).join("");
}

/** A value on a line of its own, where what went wrong stands out. */
function shown(value: unknown, now: number): string {
  const failed = isMembers(value) && (value.ok === false || value.connected === false);
  return (failed ? red : plain)(text(value, now));
}

/** A value in one line. What others wrote steers no terminal. */
function text(value: unknown, now: number): string {
  if (value === null) return "none";
  if (value === undefined) return "-";
  if (Array.isArray(value)) return value.map((one) => text(one, now)).join(", ") || "none";
  if (!isMembers(value)) return escapeControls(String(value));
  const { at, ok, message, sock, connected, length, limit } = value;
  if (typeof ok === "boolean") {
    const when = `${describeAge(now - Date.parse(String(at)))} ago`;
    return `${ok ? "" : "failed "}${when}: ${text(message, now)}`;
  }
  if (typeof connected === "boolean") {
    return `${text(sock, now)}, ${connected ? "connected" : "not connected"}`;
  }
  if (typeof limit === "number") return `${text(length, now)} of ${limit}`;
  return Object.entries(value).map(([name, one]) => `${label(name)} ${text(one, now)}`).join(", ");
}

/** `lastReload` is shown as "last reload". */
function label(name: string): string {
  return escapeControls(name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`));
}

function plain(text: string): string {
  return text;
}

function isMembers(value: unknown): value is Members {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
