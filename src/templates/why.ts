/** Why a template fails, in words. */

import { bare, lastMember } from "./code.ts";
import { DATA } from "./emit.ts";
import { failingCode, type Place } from "./place.ts";
import { excerpt, Unprintable } from "./printable.ts";
import { rubyArithmetic, rubyConstruct, rubyMethod, rubyWord } from "./ruby.ts";

/** @param thrown what the template's code threw */
export function whyThrown(thrown: unknown, at: Place | undefined): string {
  if (!(thrown instanceof Error)) return String(thrown);
  if (thrown instanceof Unprintable) return whyUnprintable(thrown);
  // V8 quotes the code, in which our checks stand around operands; and a part of a text that is no JSON, which may be
  // a secret.
  const why = (thrown.message || thrown.name).replaceAll(`${DATA}.list(...)`, "its list")
    .replace(/^Unexpected token .* is not valid JSON$/s, "the text is not valid JSON");
  const statement = at ? failingCode(at).trim() : "";
  // Both languages have a File.
  if (/^File\.\w+ is not a function/.test(why)) return withRuby(rubyWord("File"), why);
  const method = /\.(\w+) is not a function|\(reading '(\w+)'\)$/.exec(why);
  if (method !== null) {
    const unset = /\bENV(\.\w+|\[\s*['"][^'"]*['"]\s*\])\s*\./.exec(statement);
    const isRead = method[2] !== undefined && unset !== null;
    const ruby = rubyMethod(method[1] ?? method[2] ?? "");
    return ruby || !isRead ? withRuby(ruby, why) : `${whyUnset(`ENV${unset[1]}`)} (${why})`;
  }
  if (why === "ENV is not a function") return `${why}; write ENV['NAME']`;
  const name = thrown instanceof ReferenceError && /^(\S+) is not defined$/.exec(why)?.[1];
  if (!name) return why;
  if (name === "it" || name === "env") return `${why}; variables of the environment: ENV['NAME']`;
  if (statement.includes(`ENV[${name}]`)) return `${why}; write ENV['${name}']`;
  const [, assigned, operator] = /^([\w$]+)\s*([^\s\w=]{0,2}=)(?![=>])/.exec(statement) ?? [];
  if (assigned === name) {
    const declared = operator === "=" ? `const ${statement}` : `let ${name} = ...`;
    return `${why}; declare it: ${declared}`;
  }
  return withRuby(rubyWord(name), why);
}

/** A value that is no text, and what to write instead. */
function whyUnprintable({ value, source, message }: Unprintable): string {
  if (typeof value === "function") return `${message}; call it: name()`;
  if (value instanceof Promise) return `${message}; templates do not wait`;
  if (typeof value === "number") return withRuby(rubyArithmetic(source), message);
  if (Array.isArray(value)) return `${message}; leave out what is missing with .filter(Boolean)`;
  if (value !== undefined && value !== null) {
    return `${message}; print one of its properties, or JSON.stringify(x)`;
  }
  const ruby = value === undefined ? rubyMethod(lastMember(source) ?? "") : undefined;
  if (ruby) return ruby;
  const unset = whyUnset(source);
  if (unset) return unset;
  const code = excerpt(source, 50);
  const operand = /^[\w$.[\]'"]+$/.test(code) ? code : `(${code})`;
  return `${message}; if nothing is meant to stand there: ${operand} ?? ''`;
}

/** @param source code that reads a variable of the environment which is not set, or other code */
function whyUnset(source: string): string | undefined {
  const variable = /^ENV\s*(?:\.\s*(\w+)|\[\s*(['"`])([^'"`]*)\2\s*\])$/.exec(source);
  const name = variable?.[1] ?? variable?.[3];
  if (name === undefined) return undefined;
  return `ENV has no '${name}'; set it, or write ENV['${name}'] ?? 'what stands there without it'`;
}

function withRuby(ruby: string | undefined, why: string): string {
  return ruby === undefined ? why : `${ruby} (${why})`;
}

/**
 * @param place the tag that does not compile, and the line in it
 * @param why what V8 says
 */
export function whyNotCompiled(place: Place, why: string): string {
  const { code } = place.tag;
  if (code.includes("<%")) return "no %> closes this tag before the next <%";
  if (/\bawait\b/.test(bare(code)) && !/\basync\b/.test(code)) {
    return "await is not supported; templates do not wait";
  }
  if (code.startsWith("=")) return "write <%= for <%==; nothing is escaped";
  if (/^_\s|\s_$/.test(code)) return "write <%- for <%_, and -%> for _%>";
  const ruby = rubyConstruct(failingCode(place));
  if (ruby) return withRuby(ruby, why);
  const cut = why.startsWith("Invalid") && /['"`]/.test(bare(code).replaceAll("''", ""))
    ? "; a %> within a string is written %%>"
    : "";
  return why + cut;
}
