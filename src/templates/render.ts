/** Config templates: ERB's tags around JavaScript, compiled and run by Eta. Pure. */

import { UserError } from "../errors.ts";
import { Eta } from "eta/core";
import {
  bare,
  lastMember,
  misplacedBracket,
  newlines,
  type Piece,
  scan,
  type Tag,
} from "./scan.ts";
import { rubyArithmetic, rubyCommand, rubyConstruct, rubyInterpolation } from "./scan.ts";
import { rubyMethod, rubyWord } from "./scan.ts";
import { Refused, scopeOf, type SocketRequest } from "./scope.ts";

export type { SocketRequest };

export interface RenderOptions {
  /** Name of the template in errors. */
  file: string;
  /** What the template sees as `ENV`. */
  env: Record<string, string>;
  /**
   * Called once per bind call, in the order in which the template makes them. Returns what stands
   * for the socket in the config, such as `fd@3`. What it throws becomes a {@link TemplateError}.
   */
  bind: (request: SocketRequest) => string;
}

/** A template that cannot be rendered. The message names file, line, offending tag and cause. */
export class TemplateError extends UserError {
  override readonly name = "TemplateError";
  readonly file: string;
  /** Line in the template, from 1. Missing only where V8 tells none, as on a stack overflow. */
  readonly line?: number;
  /** The offending tag as written; of a tag that spans lines, the line if it is known. */
  readonly source?: string;

  constructor(file: string, why: string, at: { tag?: Tag; line?: number } = {}, cause?: unknown) {
    const line = at.line ?? at.tag?.line;
    const source = at.tag && offendingText(at.tag, at.line);
    super(
      `${file}${line ? `:${line}` : ""}: ${why}${source ? `, in ${excerpt(source)}` : ""}`,
      { cause },
    );
    this.file = file;
    this.line = line;
    this.source = source;
  }
}

/**
 * Renders `template`. In scope of its code: `bind_tcp(ip, port, { backlog })`,
 * `bind(address, { backlog })`, and `ENV['NAME']`.
 *
 * @throws {TemplateError} on anything that is wrong with the template or that `options.bind` refuses.
 */
export function render(template: string, options: RenderOptions): string {
  const { file } = options;
  const pieces = scan(template);
  for (const tag of pieces) {
    if (typeof tag === "string") continue;
    if (tag.kind === "unclosed") throw new TemplateError(file, "no %> closes this tag", { tag });
    const ruby = rubyInterpolation(tag.code) ?? rubyCommand(tag);
    if (ruby) throw new TemplateError(file, ruby, { tag });
  }

  const eta = new Eta({
    autoEscape: false,
    autoFilter: true,
    filterFunction: print,
    // Without it `port = 80` would set a global, which the next render in this process still sees.
    functionHeader: '"use strict";',
    varName: "__template",
  });
  const scope = scopeOf(options.env, options.bind);
  const context = { ...scope, member, origin: new Error() };
  const body = pieces.map(toEta);
  // Eta's own parser turns CRLF into LF, knows neither <%# nor <%%, reads <%- and -%> otherwise than
  // ERB, and rejects a lone quote in a comment: so its place is taken by ours, and Eta gets its AST.
  // The arrow function gives the template a scope of its own, in which every name is free.
  eta.parse = () => [
    {
      t: "e",
      val: `__template.origin=new Error();(({${Object.keys(scope)}})=>{{`,
    },
    ...body,
    { t: "e", val: "}})(__template);" },
  ];

  let compiled;
  try {
    compiled = eta.compile(template);
  } catch (cause) {
    const at = whereCompilationFails(pieces, (count) => eta.compileBody(body.slice(0, count)));
    throw new TemplateError(file, at.why, at, cause);
  }
  try {
    return eta.render(compiled, context);
  } catch (cause) {
    const at = whereThrown(pieces, body, cause, context.origin);
    const original = cause instanceof Refused ? cause.cause : cause;
    throw new TemplateError(file, whyThrown(cause, at), at, original);
  }
}

function offendingText({ source, line }: Tag, at: number | undefined): string {
  return at === undefined
    ? source
    : source.split("\n").slice(at - line, at - line + 1).join("") || source;
}

function excerpt(source: string): string {
  const text = source.replace(/\s+/g, " ").trim();
  return text.length > 100 ? `${text.slice(0, 97)}...` : text;
}

/** An element of Eta's AST: the inside of a '...' string, or a tag of type "r"aw or "e"xecute. */
function toEta(piece: Piece): string | { t: string; val: string } {
  if (typeof piece === "string") {
    // V8 counts lines at U+2028 and U+2029 too, and whereThrown takes text for one line.
    return JSON.stringify(piece).slice(1, -1).replace(
      /['\u2028\u2029]/g,
      (char) => char === "'" ? "\\'" : char === "\u2028" ? "\\u2028" : "\\u2029",
    );
  }
  if (piece.kind === "code") return { t: "e", val: piece.code };
  // Ruby takes `<%= x; %>` too. The newline ends a // comment.
  const code = piece.code.trimEnd();
  const value = `(${code.endsWith(";") ? code.slice(0, -1) : code}\n)`;
  const name = lastMember(code);
  const isVariable = /\bENV\s*\.\s*\w+\s*;?$/.test(code) && rubyMethod(name ?? "") === undefined;
  if (name === undefined || isVariable) return { t: "r", val: value };
  return { t: "r", val: `__template.member(${value},"${name}")` };
}

/** A printed property must be there: what is Ruby's would else vanish, and so would a mistyped one. */
function member(value: unknown, name: string): unknown {
  if (value !== undefined) return value;
  throw new TypeError(rubyMethod(name) ?? `there is no ${name}; if that is meant: x.${name} ?? ''`);
}

/** Ruby prints nil as nothing, and a config with "undefined" in it would be a puzzle. */
function print(value: unknown): string {
  if (typeof value === "string") return value;
  if (value === undefined || value === null) return "";
  if (value instanceof Promise) throw new TypeError("a promise was printed; templates do not wait");
  if (typeof value === "function") throw new TypeError("a function was printed; call it: name()");
  if (Number.isNaN(value)) throw new TypeError(NOT_A_NUMBER);
  return String(value);
}

const NOT_A_NUMBER = "this gives no number (NaN)";

type Place = { tag: Tag; line: number };

/** The template's line in V8's stack of an Error: the function has no file, so it is <anonymous>. */
function generatedLine(error: Error): number | undefined {
  const frame = /<anonymous>:(\d+):\d+/.exec(error.stack ?? "");
  return frame ? Number(frame[1]) : undefined;
}

/** Finds the tag that threw. `origin` was made in the line before the first piece's. */
function whereThrown(
  pieces: Piece[],
  body: ReturnType<typeof toEta>[],
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
  for (const [index, emitted] of body.entries()) {
    const tag = pieces[index];
    const lines = typeof emitted === "string" ? 0 : newlines(emitted.val);
    if (left >= 0 && left <= lines && tag !== undefined && typeof tag !== "string") {
      return { tag, line: tag.line + Math.min(left, newlines(tag.code)) };
    }
    left -= lines + 1;
  }
  return undefined;
}

function whyThrown(thrown: unknown, at: Place | undefined): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const why = thrown.message || thrown.name;
  const statement = at?.tag.code.split("\n")[at.line - at.tag.line]?.trim() ?? "";
  if (why === NOT_A_NUMBER) return withRuby(rubyArithmetic(at?.tag.code ?? ""), why);
  // Both languages have a File.
  if (/^File\.\w+ is not a function/.test(why)) return withRuby(rubyWord("File"), why);
  const method = /\.(\w+) is not a function|\(reading '(\w+)'\)$/.exec(why);
  if (method !== null) return withRuby(rubyMethod(method[1] ?? method[2] ?? ""), why);
  const name = thrown instanceof ReferenceError && /^(\S+) is not defined$/.exec(why)?.[1];
  if (!name) return why;
  if (/^([\w$]+)\s*=(?![=>])/.exec(statement)?.[1] === name) {
    return `${why}; declare it: const ${statement}`;
  }
  return withRuby(rubyWord(name), why);
}

function withRuby(ruby: string | undefined, why: string): string {
  return ruby === undefined ? why : `${ruby} (${why})`;
}

/**
 * The SyntaxError of code that cannot go on, wherever it continues. V8 tells no position, but it
 * reports the first error: code that may go on fails at the reserved word put after it.
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

/** Finds the first tag with which the code stops making sense. `emit(n)`: code of n pieces. */
function whereCompilationFails(
  pieces: Piece[],
  emit: (count: number) => string,
): { why: string; tag?: Tag; line?: number } {
  let good = 0;
  let bad = pieces.length + 1;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (syntaxError(emit(middle)) === undefined) good = middle;
    else bad = middle;
  }
  if (bad > pieces.length) return misplacedBracket(pieces);

  const failed = pieces[bad - 1];
  const why = syntaxError(emit(bad)) ?? "";
  if (failed === undefined || typeof failed === "string") {
    const tag = pieces[bad - 2];
    if (tag === undefined || typeof tag === "string") return { why };
    return {
      tag,
      why: rubyConstruct(tag.code) ?? "this code is not complete; no text can follow it",
    };
  }
  const lines = failed.code.split("\n");
  const before = emit(good);
  const line = lines.findIndex((_, last) => {
    const code = lines.slice(0, last + 1).join("\n");
    return !/`|\/\*/.test(bare(code)) && syntaxError(before + code) !== undefined;
  });
  return {
    tag: failed,
    line: failed.line + Math.max(line, 0),
    why: whyNotCompiled(failed, why),
  };
}

function whyNotCompiled({ code }: Tag, why: string): string {
  if (code.includes("<%")) return "no %> closes this tag before the next <%";
  if (/\bawait\b/.test(bare(code)) && !/\basync\b/.test(code)) {
    return "await is not supported; templates do not wait";
  }
  const ruby = rubyConstruct(code);
  if (ruby) return withRuby(ruby, why);
  const cut = /['"`]/.test(bare(code).replaceAll("''", ""))
    ? "; a %> within a string is written %%>"
    : "";
  return why + cut;
}
