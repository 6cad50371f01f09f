/** The code that Eta makes of a template's pieces. */

import type { Eta } from "eta/core";
import type { Range } from "./instrument.ts";
import type { Piece } from "./scan.ts";

/** What Eta's compiled code calls its data, through which the code below reaches everything. */
export const DATA = "__template";
/** Names of the compiled code that it needs itself, so that they cannot be hidden from a template. */
export const RESERVED = [DATA, "__eta"];

/** A template's code, to be compiled. */
export interface Emitted {
  /** All of it. */
  code: string;
  /** The code of each piece. The first stands on the second line. */
  parts: string[];
  /** Where each tag's own code is in `code`; of text, nothing. */
  ranges: (Range | undefined)[];
}

/**
 * @param names what is in scope of the template: properties of `DATA.scope`. `DATA.print` is called for
 * each `<%= %>` with the value and the number of the piece, and `DATA.origin` is set to an Error whose stack
 * tells the first line.
 */
export function emit(eta: Eta, pieces: readonly Piece[], names: readonly string[]): Emitted {
  // A function of its own has neither Eta's `this` nor its `arguments`; the inner block lets a template
  // declare each name anew.
  let code = `${DATA}.origin=new Error();(function({${names}}){{\n`;
  const parts: string[] = [];
  const ranges: Emitted["ranges"] = [];
  for (const [index, piece] of pieces.entries()) {
    const element = typeof piece === "string"
      ? inQuotes(piece)
      : piece.kind === "code"
      ? { t: "e", val: piece.code }
      // The newline ends a // comment.
      : { t: "r", val: `${DATA}.print((${expressionOf(piece.code)}\n),${index})` };
    const part = eta.compileBody([element]);
    if (typeof piece === "string") ranges.push(undefined);
    else {
      const isCode = piece.kind === "code";
      const opening = isCode ? 0 : part.indexOf("((") + 2;
      const start = code.length + opening;
      ranges.push({
        start,
        end: start + (isCode ? piece.code : expressionOf(piece.code)).length,
        isCode,
      });
    }
    code += part;
    parts.push(part);
  }
  return { code: `${code}}}).call(undefined,${DATA}.scope);\n`, parts, ranges };
}

/** Ruby takes `<%= x; %>` too. */
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
