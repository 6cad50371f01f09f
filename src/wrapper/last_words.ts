/**
 * Why a server ended before it was up, in its own words. Where its lines pass through us they are known
 * (server_output.ts). Elsewhere they are in the log, but not known to us: it writes to our own standard error, and
 * nothing stands between, since a server must not depend on a program that reads what it says. So it is started once more, with its output in memory. It accepted nothing the first time, and will end in the
 * same way before it does.
 * @module
 */

import type { Fd } from "../../ffi/fd.ts";
import { createMemfd, readOutput } from "../../ffi/memfd.ts";
import type { Started } from "../servers/service.ts";

/** Milliseconds that it may take to end. */
const PATIENCE = 5000;

/** Bytes that are read. */
const MAX_OUTPUT = 64 * 1024;
/** Lines that are told, and characters of each. */
const LINES = 4;
const CHARACTERS = 300;

/**
 * Has a server say it.
 * @param start starts it with that output
 * @param isError whether a line is about an error: these are told, if there are any
 * @param dismiss takes one that has come up, or goes on without; it is running
 * @returns the last lines
 */
export async function lastWords(
  start: (output: Fd) => Started,
  isError: (line: string) => boolean,
  dismiss: (started: Started, isUp: boolean) => void,
): Promise<string[]> {
  using output = createMemfd("multibinder-words");
  const started = start(output);
  const { promise: late, resolve } = Promise.withResolvers<"late">();
  const timer = setTimeout(() => resolve("late"), PATIENCE);
  const end = await Promise.race([
    started.exited.then(() => "ended" as const),
    // Where it ends, nobody will tell that it is up.
    started.ready.then((why) => why === undefined ? "up" as const : late),
    late,
  ]);
  clearTimeout(timer);
  if (end !== "ended") {
    dismiss(started, end === "up");
    return [];
  }
  return wordsIn(readOutput(output, MAX_OUTPUT).split("\n"), isError);
}

/** The lines that say why: the last errors, if there are any. */
export function wordsIn(lines: readonly string[], isError: (line: string) => boolean): string[] {
  const said = lines.map((line) => line.trim()).filter((line) => line !== "");
  const errors = said.filter(isError);
  return (errors.length > 0 ? errors : said).slice(-LINES)
    .map((line) => line.length > CHARACTERS ? `${line.slice(0, CHARACTERS)}…` : line);
}
