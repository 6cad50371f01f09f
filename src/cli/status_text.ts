/** A status as text for people, whatever members a binder or a wrapper of any version sends. */

import { bold, green, red, yellow } from "@std/fmt/colors";
import { describeAge } from "../duration.ts";
import { UserError } from "../errors.ts";
import { escapeControls } from "../escape.ts";
import { type Cell, tableLines } from "./table.ts";

type Members = Readonly<Record<string, unknown>>;

/** How the words for a generation's state are shown on a terminal. */
const PAINTS: Readonly<Record<string, (text: string) => string>> = {
  serving: green,
  starting: yellow,
  draining: yellow,
};

/** How many rows of a table are shown: a binder may have thousands of sockets, which `ls` lists. */
const ROWS = 20;

/** Members of a wrapper by which other commands find it. */
const HIDDEN = ["self", "control"];

/**
 * Describes a status: who answers, what is wrong, then a line for each value and a table for each list.
 * @param now the time, in milliseconds since 1970
 * @throws {UserError} when it is no status
 */
export function describeStatus(status: unknown, now: number = Date.now()): string {
  if (!isMembers(status)) throw new UserError("the answer is no status; --json shows it");
  const { role, version, pid, uptimeSeconds, troubles, ...rest } = status;
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
  return `${bold(title)}${up}\n${wrongs(troubles)}${lines.join("")}${tables.join("")}`;
}

function wrongs(troubles: unknown): string {
  const lines = (Array.isArray(troubles) ? troubles : []).filter(isMembers)
    .map(({ message }) => `  ${red(escapeControls(String(message)))}\n`);
  const more = lines.length - ROWS;
  return lines.slice(0, ROWS).join("") + (more > 0 ? `  and ${more} more\n` : "");
}

function table(rows: readonly Members[], now: number): string {
  const columns = [...new Set(rows.flatMap(Object.keys))].filter((name) => !HIDDEN.includes(name));
  const cells = rows.slice(0, ROWS).map((row) =>
    columns.map((name): Cell => {
      const cell = cellText(name, row[name], now);
      const paint = Object.hasOwn(PAINTS, cell) ? PAINTS[cell] : undefined;
      return { text: cell, ...(paint && { paint }) };
    })
  );
  const header = columns.map((name) => label(name.replace(/Seconds$/, "")));
  const more = rows.length - ROWS;
  const lines = tableLines(header, cells).map((line) => `  ${line}\n`);
  return lines.join("") + (more > 0 ? `  and ${more} more\n` : "");
}

function cellText(name: string, value: unknown, now: number): string {
  if (name === "ageSeconds" && typeof value === "number") return describeAge(value * 1000);
  // A pid that the binder's container does not see is 0.
  const isSeen = name !== "holders" || !Array.isArray(value);
  return text(isSeen ? value : value.map((pid) => pid === 0 ? "another container" : pid), now);
}

/** A value on a line of its own, where what went wrong stands out. */
function shown(value: unknown, now: number): string {
  const failed = isMembers(value) && (value.ok === false || value.connected === false);
  return (failed ? red : String)(text(value, now));
}

/** A value in one line, with escapes for what would control a terminal. */
function text(value: unknown, now: number): string {
  if (value === null) return "none";
  if (value === undefined) return "-";
  if (Array.isArray(value)) return value.map((one) => text(one, now)).join(", ") || "none";
  if (!isMembers(value)) return escapeControls(String(value));
  const { at, ok, message, sock, connected, handsBack, length, limit, number, state, pid } = value;
  if (typeof ok === "boolean") {
    const time = Date.parse(String(at));
    const when = Number.isNaN(time)
      ? "some time ago"
      : `${describeAge(now - time)} ago, at ${new Date(time).toISOString().replace(/\.\d+/, "")}`;
    return `${ok ? "" : "failed "}${when}: ${text(message, now)}`;
  }
  if (typeof connected === "boolean") {
    const how = handsBack === false ? ", which takes no sockets back from this user" : "";
    return `${text(sock, now)}${how}, ${connected ? "connected" : "not connected"}`;
  }
  if (typeof limit === "number") return `${text(length, now)} of ${limit}`;
  // A generation, in a wrapper's row of the table of wrappers.
  if (typeof number === "number" && typeof state === "string") {
    return `${number} ${text(state, now)} (pid ${text(pid, now)})`;
  }
  return Object.entries(value).map(([name, one]) => `${label(name)} ${text(one, now)}`).join(", ");
}

/** `lastReload` is shown as "last reload". */
function label(name: string): string {
  return escapeControls(name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`));
}

function isMembers(value: unknown): value is Members {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
