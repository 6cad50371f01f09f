/** Where an error of a template is: V8 knows lines of the compiled code, and people those of the file. */

import { bare } from "./code.ts";
import { newlines, type Piece, type Tag } from "./scan.ts";

/** A place in a template: a tag, and the line of the file. */
export type Place = { tag: Tag; line: number };

/** The template's line in V8's stack of an Error: the function has no file, so it is <anonymous>. */
function generatedLine(error: Error): number | undefined {
  const frame = /<anonymous>:(\d+):\d+/.exec(error.stack ?? "");
  return frame ? Number(frame[1]) : undefined;
}

/**
 * Finds the tag that threw.
 * @param parts the compiled code of each piece
 * @param origin made in the line before that of the first piece
 */
export function whereThrown(
  pieces: readonly Piece[],
  parts: readonly string[],
  thrown: unknown,
  origin: Error,
): Place | undefined {
  if (!(thrown instanceof Error)) {
    // Only an Error has a stack, and only a `throw` of the template can throw anything else.
    const throwing = pieces.filter((tag): tag is Tag =>
      typeof tag !== "string" && /\bthrow\b/.test(bare(tag.code))
    );
    const [tag] = throwing;
    return tag && throwing.length === 1 ? { tag, line: tag.line } : undefined;
  }
  let left = (generatedLine(thrown) ?? 0) - (generatedLine(origin) ?? 0) - 1;
  for (const [index, part] of parts.entries()) {
    const tag = pieces[index];
    const lines = newlines(part);
    if (left >= 0 && left < lines && tag !== undefined && typeof tag !== "string") {
      return { tag, line: tag.line + Math.min(left, newlines(tag.code)) };
    }
    left -= lines;
  }
  return undefined;
}

/** The first tag with a surplus bracket, else the last with one that no later tag closes. */
export function misplacedBracket(pieces: readonly Piece[]): { tag?: Tag; why: string } {
  const open: Tag[] = [];
  for (const tag of pieces) {
    if (typeof tag === "string") continue;
    for (const bracket of bare(tag.code).match(/[(){}[\]]/g) ?? []) {
      if ("({[".includes(bracket)) open.push(tag);
      else if (!open.pop()) return { tag, why: `no tag opened what this ${bracket} closes` };
    }
  }
  const tag = open.at(-1);
  return { tag, why: tag ? "no later tag closes what this one opens" : "its code does not end" };
}

/**
 * The message of the SyntaxError in code that is wrong however it continues; undefined for other code. V8 tells no
 * position, but it reports the first error: code that may continue fails at the reserved word put after it.
 */
function syntaxError(code: string): string | undefined {
  try {
    // The braces leave a surplus `}` to misplacedBracket, which can tell whose it is.
    new Function(`"use strict";${"{".repeat(9)}${code}\nexport\nexport`);
  } catch (error) {
    const { message } = error as Error;
    if (message !== "Unexpected token 'export'") return message;
  }
  return undefined;
}

/**
 * Finds the first tag with which the code stops making sense, and what V8 says of it. Nothing is found
 * where only a bracket is missing or left over: see {@link misplacedBracket}.
 * @param parts the compiled code of each piece
 */
export function whereCompilationFails(
  pieces: readonly Piece[],
  parts: readonly string[],
): { place?: Place; error: string; isComplete: boolean } | undefined {
  const upTo = (count: number) => parts.slice(0, count).join("");
  let good = 0;
  let bad = pieces.length + 1;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (syntaxError(upTo(middle)) === undefined) good = middle;
    else bad = middle;
  }
  if (bad > pieces.length) return undefined;

  const error = syntaxError(upTo(bad)) ?? "";
  const failed = pieces[bad - 1];
  if (failed !== undefined && typeof failed !== "string") {
    return {
      place: { tag: failed, line: failingLine(failed, upTo(good)) },
      error,
      isComplete: true,
    };
  }
  // Text cannot follow the tag before it.
  const tag = pieces[bad - 2];
  if (tag === undefined || typeof tag === "string") return { error, isComplete: false };
  return { place: { tag, line: tag.line }, error, isComplete: false };
}

/** The line at which a tag's code, after the code before it, is wrong however it continues. */
function failingLine(tag: Tag, before: string): number {
  const lines = tag.code.split("\n");
  const index = lines.findIndex((_, last) => {
    const code = lines.slice(0, last + 1).join("\n");
    return !/`|\/\*/.test(bare(code)) && syntaxError(before + code) !== undefined;
  });
  return tag.line + Math.max(index, 0);
}

/** The code on the line of a place. */
export function failingCode({ tag, line }: Place): string {
  return tag.code.split("\n")[line - tag.line] ?? "";
}
