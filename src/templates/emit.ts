/** The code that Eta makes of a template's pieces. */

import type { Eta } from "eta/core";
import type { Range } from "./instrument.ts";
import type { Piece } from "./scan.ts";

/** What Eta's compiled code calls its data, through which the code below reaches everything. */
export const DATA = "__template";
/** Names that the compiled code itself needs: they cannot be hidden from a template, so none may use them. */
export const RESERVED = [DATA, "__eta"];

/** A template's code, to be compiled. */
export interface Emitted {
  /** All of it. */
  code: string;
  /** The code of each piece. The first stands on the second line. */
  parts: string[];
  /** Where each tag's own code is in `code`; undefined for text. */
  ranges: (Range | undefined)[];
}

/**
 * Makes the code of a template. It calls `DATA.print` for each `<%= %>`, with the value and the number of the piece,
 * and sets `DATA.origin` to an Error whose stack tells the line before the first piece.
 * @param names what the template has in scope: properties of `DATA.scope`
 */
export function emit(eta: Eta, pieces: readonly Piece[], names: readonly string[]): Emitted {
  // A function of its own has neither Eta's `this` nor its `arguments`; the inner block lets a template
  // declare each name anew.
  let code = `${DATA}.origin=new Error();(function({${names}}){{\n`;
  const parts: string[] = [];
  const ranges: Emitted["ranges"] = [];
  for (const [index, piece] of pieces.entries()) {
    const part = eta.compileBody([elementOf(piece, index)]);
    ranges.push(rangeOf(piece, part, code.length));
    parts.push(part);
    code += part;
  }
  return { code: `${code}}}).call(undefined,${DATA}.scope);\n`, parts, ranges };
}

/** A piece as Eta's AST has it. */
function elementOf(piece: Piece, index: number): Parameters<Eta["compileBody"]>[0][number] {
  if (typeof piece === "string") return inQuotes(piece);
  if (piece.kind === "code") return { t: "e", val: piece.code };
  // The newline ends a // comment.
  return { t: "r", val: `${DATA}.print((${expressionOf(piece.code)}\n),${index})` };
}

/**
 * Where a tag's own code is; undefined for text.
 * @param part the code that Eta has made of the tag
 * @param at where that stands
 */
function rangeOf(piece: Piece, part: string, at: number): Range | undefined {
  if (typeof piece === "string") return undefined;
  const isCode = piece.kind === "code";
  const start = at + (isCode ? 0 : part.indexOf("((") + 2);
  const { length } = isCode ? piece.code : expressionOf(piece.code);
  return { start, end: start + length, isCode };
}

/** The expression of a `<%= %>`. Ruby takes `<%= x; %>`, too. */
export function expressionOf(code: string): string {
  return code.trimEnd().replace(/;$/, "");
}

/** Text as Eta's AST has it: the inside of a '...' string. */
function inQuotes(text: string): string {
  // V8 counts lines at U+2028 and U+2029 too, and each text is one line of code.
  return JSON.stringify(text).slice(1, -1).replace(
    /['\u2028\u2029]/g,
    (char) => char === "'" ? "\\'" : char === "\u2028" ? "\\u2028" : "\\u2029",
  );
}
