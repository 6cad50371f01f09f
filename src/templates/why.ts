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
  // V8 quotes the code, in which checks stand around operands.
  const why = (thrown.message || thrown.name).replaceAll(`${DATA}.list(...)`, "its list");
  const statement = at ? failingCode(at).trim() : "";
  // Both languages have a File.
  if (/^File\.\w+ is not a function/.test(why)) return withRuby(rubyWord("File"), why);
  const method = /\.(\w+) is not a function|\(reading '(\w+)'\)$/.exec(why);
  if (method !== null) return withRuby(rubyMethod(method[1] ?? method[2] ?? ""), why);
  const name = thrown instanceof ReferenceError && /^(\S+) is not defined$/.exec(why)?.[1];
  if (!name) return why;
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
  const variable = /^ENV\s*(?:\.\s*(\w+)|\[\s*(['"`])([^'"`]*)\2\s*\])$/.exec(source);
  if (variable) {
    const name = variable[1] ?? variable[3];
    return `ENV has no '${name}'; set it, or write ENV['${name}'] ?? 'what stands there without it'`;
  }
  const code = excerpt(source, 50);
  const operand = /^[\w$.[\]'"]+$/.test(code) ? code : `(${code})`;
  return `${message}; if nothing is meant to stand there: ${operand} ?? ''`;
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
  const ruby = rubyConstruct(failingCode(place));
  if (ruby) return withRuby(ruby, why);
  const cut = /['"`]/.test(bare(code).replaceAll("''", ""))
    ? "; a %> within a string is written %%>"
    : "";
  return why + cut;
}
