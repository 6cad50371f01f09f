/** The log: one line an event, on standard error. */

import { dim, red, yellow } from "@std/fmt/colors";
import { SystemError } from "../ffi/errno.ts";
import { escapeControls } from "./escape.ts";
import { writeToStderr } from "./stderr.ts";

export const LEVELS = ["debug", "info", "warn", "error"] as const;
export const FORMATS = ["text", "json"] as const;

export type Level = typeof LEVELS[number];
export type Format = typeof FORMATS[number];
/** What an event was about; `undefined` values are left out. */
export type Fields = Record<string, string | number | boolean | undefined>;

export type Log = Record<Level, (message: string, fields?: Fields) => void>;

/** Priorities of syslog(3), by which the journal sorts. */
const PRIORITIES: Record<Level, number> = { debug: 7, info: 6, warn: 4, error: 3 };

/** How a level stands out on a terminal; where NO_COLOR is set none does. */
const STYLES: Record<Level, (text: string) => string> = {
  debug: dim,
  info: String,
  warn: yellow,
  error: red,
};

/**
 * Makes a log.
 * @param options `level` is the lowest one that is written; `journal` says whether the journal reads the lines
 * @param write takes one line with its newline; by default lines go to standard error
 */
export function createLog(
  options: { format: Format; level: Level; journal?: boolean },
  write?: (line: string) => void,
): Log {
  const least = LEVELS.indexOf(options.level);
  const onTerminal = write === undefined && Deno.stderr.isTerminal();
  const renderText = onTerminal ? renderForTerminal : renderPlain;
  const renderForReader = options.journal ?? isJournal() ? renderForJournal : renderText;
  const render = options.format === "json" ? renderJson : renderForReader;
  const writeLine = write ?? writeToStderr;
  const method = (level: Level) => (message: string, fields: Fields = {}) => {
    if (LEVELS.indexOf(level) >= least) writeLine(render(level, message, fields) + "\n");
  };
  return {
    debug: method("debug"),
    info: method("info"),
    warn: method("warn"),
    error: method("error"),
  };
}

/**
 * Whether standard error is the journal: systemd puts the device and inode of the stream that it made
 * into JOURNAL_STREAM (systemd.exec(5)). The inode is enough, all sockets being on one device.
 */
export function isJournal(): boolean {
  const inode = /^\d+:(\d+)$/.exec(Deno.env.get("JOURNAL_STREAM") ?? "")?.[1];
  try {
    return inode !== undefined && Deno.readLinkSync("/proc/self/fd/2") === `socket:[${inode}]`;
  } catch {
    return false; // It is closed.
  }
}

/** As a line for the journal, which reads the priority at its beginning (sd-daemon(3)) and notes the time itself. */
export function renderForJournal(level: Level, message: string, fields: Fields = {}): string {
  return journalPrefix(level) + renderEvent(message, fields);
}

/** The beginning of a line, from which the journal reads its priority. */
export function journalPrefix(level: Level): string {
  return `<${PRIORITIES[level]}>`;
}

function renderForTerminal(level: Level, message: string, fields: Fields): string {
  return `${new Date().toISOString()} ${STYLES[level](level)} ${renderEvent(message, fields)}`;
}

function renderPlain(level: Level, message: string, fields: Fields): string {
  return `${new Date().toISOString()} ${level} ${renderEvent(message, fields)}`;
}

function renderEvent(message: string, fields: Fields): string {
  const pairs = Object.entries(fields).filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}=${quoteIfNeeded(String(value))}`);
  return `${escapeControls(message)}${pairs.join("")}`;
}

/** As one line of JSON. */
export function renderJson(level: Level, message: string, fields: Fields = {}): string {
  const event = { time: new Date().toISOString(), level, message, ...fields };
  // JSON escapes only some of the characters that control a terminal.
  return escapeControls(JSON.stringify(event));
}

function quoteIfNeeded(value: string): string {
  return /^[^\s"=\p{Cc}]+$/u.test(value)
    ? escapeControls(value)
    : escapeControls(JSON.stringify(value));
}

/** The stack of an error, for `--log-level debug`; a failed system call has nothing to add. */
export function stackOf(error: unknown): string | undefined {
  return error instanceof Error && !(error instanceof SystemError) ? error.stack : undefined;
}
