/** Config templates: ERB's tags around JavaScript, compiled and run by Eta. Pure. */

import { UserError } from "../errors.ts";
import { Eta } from "eta/core";
import { DATA, emit, type Emitted, expressionOf, RESERVED } from "./emit.ts";
import { instrument, Unmeant } from "./instrument.ts";
import { failingCode, misplacedBracket, whereCompilationFails, whereThrown } from "./place.ts";
import { checksOf, excerpt } from "./printable.ts";
import { rubyCommand, rubyConstruct, rubyInterpolation } from "./ruby.ts";
import { newlines, type Piece, scan, type Tag } from "./scan.ts";
import { Refused, scopeOf, type SocketRequest } from "./scope.ts";
import { hiderOf } from "./secrets.ts";
import { whyNotCompiled, whyThrown } from "./why.ts";

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
  refuseUnclosedAndRuby(pieces, file);

  const eta = new Eta({
    autoEscape: false,
    // Without it `port = 80` would set a global, which the next render in this process still sees.
    functionHeader: '"use strict";',
    varName: DATA,
  });
  const { names: scope, fetch } = scopeOf(options.env, options.bind);
  const emitted = emit(eta, pieces, Object.keys(scope));
  // Our own parser replaces Eta's, which turns CRLF into LF, knows neither <%# nor <%%, reads <%- and -%> otherwise
  // than ERB, and rejects a lone quote in a comment. Eta is given one element, which is all of the code.
  let code = emitted.code;
  eta.parse = () => [{ t: "e", val: code }];
  try {
    eta.compile(template);
  } catch (cause) {
    throw notCompiled(file, pieces, emitted, cause);
  }
  let sources;
  try {
    const ranges = emitted.ranges.filter((range) => range !== undefined);
    ({ code, sources } = instrument(code, ranges, DATA, RESERVED));
  } catch (cause) {
    throw refusedCode(file, pieces, emitted, cause);
  }

  const printed = pieces.map((piece) =>
    typeof piece === "string" ? "" : expressionOf(piece.code).trim()
  );
  const origin = new Error();
  const context = { scope, fetch, ...checksOf(sources), print: checksOf(printed).text, origin };
  try {
    return eta.render(eta.compile(template), context);
  } catch (cause) {
    const place = whereThrown(pieces, emitted.parts, cause, context.origin);
    const original = cause instanceof Refused ? cause.cause : cause;
    const hide = hiderOf(options.env, [template]);
    throw new TemplateError(file, hide(whyThrown(cause, place)), place, original);
  }
}

/** Refuses what would otherwise be printed as text, or reported at another place, when it is compiled. */
function refuseUnclosedAndRuby(pieces: readonly Piece[], file: string): void {
  for (const tag of pieces) {
    if (typeof tag === "string") continue;
    if (tag.kind === "unclosed") throw new TemplateError(file, "no %> closes this tag", { tag });
    const interpolation = rubyInterpolation(tag.code);
    if (interpolation) {
      const line = tag.line + newlines(tag.code, 0, interpolation.at);
      throw new TemplateError(file, interpolation.why, { tag, line });
    }
    const command = rubyCommand(tag);
    if (command) throw new TemplateError(file, command, { tag });
  }
}

function notCompiled(
  file: string,
  pieces: readonly Piece[],
  { parts }: Emitted,
  cause: unknown,
): TemplateError {
  const found = whereCompilationFails(pieces, parts);
  if (found === undefined) {
    const { tag, why } = misplacedBracket(pieces);
    return new TemplateError(file, why, { tag }, cause);
  }
  const { place, error, isComplete } = found;
  if (place === undefined) return new TemplateError(file, error, {}, cause);
  const why = isComplete
    ? whyNotCompiled(place, error)
    : rubyConstruct(place.tag.code) ?? "this code is not complete; no text can follow it";
  return new TemplateError(file, why, place, cause);
}

/** @param cause an {@link Unmeant}, or the parser's SyntaxError on code that V8 has compiled */
function refusedCode(
  file: string,
  pieces: readonly Piece[],
  { code, ranges }: Emitted,
  cause: unknown,
): TemplateError {
  if (!(cause instanceof Unmeant) && !(cause instanceof SyntaxError)) throw cause;
  const at = cause instanceof Unmeant ? cause.at : Number((cause as { pos?: number }).pos ?? 0);
  const index = ranges.findIndex((range) => range && range.start <= at && at <= range.end);
  const tag = pieces[index];
  if (tag === undefined || typeof tag === "string") {
    return new TemplateError(file, cause.message, {}, cause);
  }
  const place = { tag, line: tag.line + newlines(code, ranges[index]?.start, at) };
  const why = cause instanceof Unmeant
    ? rubyConstruct(failingCode(place)) ?? cause.message
    : `this JavaScript is newer than what multibinder can check: ${cause.message}`;
  return new TemplateError(file, why, place, cause);
}

function offendingText({ source, line }: Tag, at: number | undefined): string {
  return at === undefined
    ? source
    : source.split("\n").slice(at - line, at - line + 1).join("") || source;
}
