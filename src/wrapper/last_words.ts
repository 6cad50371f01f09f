/**
 * Why a server ended before it was up, in its own words. Where its lines pass through us they are known
 * (server_output.ts). Elsewhere it writes to our own standard error, and nothing stands between, since a server must
 * not depend on a program that reads its output: the words are in the log, and not known to us. So the server is
 * started once more, with its output in memory. It accepted nothing the first time, and will fail in the same way
 * before it does.
 * @module
 */

import type { Fd } from "../../ffi/fd.ts";
import { createMemfd, readOutput } from "../../ffi/memfd.ts";
import type { Started } from "../servers/service.ts";

/** Milliseconds that the server may take to end. */
const PATIENCE = 5000;

/** Bytes of its output that are read. */
const MAX_OUTPUT = 64 * 1024;
/** How many lines are given, and how many characters of each. */
const LINES = 4;
const CHARACTERS = 300;

/**
 * Starts a server once more, to learn why it ended.
 * @param start starts it with that output
 * @param isError whether a line is about an error: where there are any, only these are given
 * @param dismiss is given the server when it has not ended, and whether it has come up
 * @returns its last lines
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
    // Without a sign that it is up, it is waited for until the time is over.
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
