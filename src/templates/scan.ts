/**
 * ERB's tag syntax, as Ruby's own `ERB.new(text, trim_mode: "-")` reads it. Only the language inside
 * the tags differs: ours is JavaScript.
 */

/** Literal text, or a tag that holds code. Comments leave no piece. */
export type Piece = string | Tag;

/** A tag of the template. */
export interface Tag {
  /** `print` is `<%= %>` (or Eta's `<%~ %>`), `unclosed` has no `%>` before the end of the file. */
  kind: "print" | "code" | "unclosed";
  code: string;
  /** The tag as written, delimiters included. */
  source: string;
  /** Line of its `<%` in the template, from 1. */
  line: number;
}

const OPEN = /<%(%|-|=|~|#)?/g;

/** Splits a template into text and tags, in order. Never throws; see {@link Tag.kind}. */
export function scan(template: string): Piece[] {
  const pieces: Piece[] = [];
  let text = "";
  let line = 1;
  let counted = 0;
  let position = 0;

  OPEN.lastIndex = 0;
  for (let open = OPEN.exec(template); open !== null; open = OPEN.exec(template)) {
    text += template.slice(position, open.index);
    const mark = open[1];
    if (mark === "%") {
      text += "<%";
      position = OPEN.lastIndex;
      continue;
    }
    if (mark === "-") text = withoutIndentation(text, template, open.index);
    line += newlines(template, counted, open.index);
    counted = open.index;

    const close = closingOf(template, OPEN.lastIndex);
    if (close === -1) {
      const source = template.slice(open.index);
      if (text) pieces.push(text);
      return [...pieces, { kind: "unclosed", code: "", source, line }];
    }
    const trims = template[close - 1] === "-" && close > OPEN.lastIndex;
    const code = template.slice(OPEN.lastIndex, trims ? close - 1 : close).replaceAll("%%>", "%>");
    position = close + 2;

    if (mark !== "#" && !isNothing(code)) {
      if (text) pieces.push(text);
      text = "";
      const kind = mark === "=" || mark === "~" ? "print" : "code";
      pieces.push({ kind, code, source: template.slice(open.index, position), line });
    }
    if (trims) position += /^\r?\n/.exec(template.slice(position, position + 2))?.[0].length ?? 0;
    OPEN.lastIndex = position;
  }
  text += template.slice(position);
  if (text) pieces.push(text);
  return pieces;
}

/** A tag ends at its first `%>`, within a string too, unless that is written `%%>`. */
function closingOf(template: string, from: number): number {
  let close = template.indexOf("%>", from);
  while (close > from && template[close - 1] === "%") close = template.indexOf("%>", close + 2);
  return close;
}

function withoutIndentation(text: string, template: string, open: number): string {
  const indentation = template.slice(template.lastIndexOf("\n", open - 1) + 1, open);
  return /^[ \t]*$/.test(indentation) ? text.slice(0, text.length - indentation.length) : text;
}

/** `<% # note %>` is how Ruby comments within a tag; no JavaScript statement starts with `#`. */
function isNothing(code: string): boolean {
  return /^\s*(?:#.*)?$/.test(code);
}

/** Number of newlines in `text` between two positions. */
export function newlines(text: string, from = 0, to = text.length): number {
  let count = 0;
  for (let i = text.indexOf("\n", from); i !== -1 && i < to; i = text.indexOf("\n", i + 1)) count++;
  return count;
}
