/**
 * ERB's tag syntax, as Ruby's own `ERB.new(text, trim_mode: "-")` reads it, and the Ruby that people
 * write in such files. Only the language inside the tags differs: ours is JavaScript.
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

const LITERAL =
  /\/\/[^\n]*|\/\*[^]*?\*\/|'(?:\\[^]|[^'\\\n])*'|"(?:\\[^]|[^"\\\n])*"|`(?:\\[^]|[^`\\])*`/g;

/** The code with its comments dropped and its strings emptied: what is left is structure. */
export function bare(code: string): string {
  return code.replace(LITERAL, (literal) => literal.startsWith("/") ? " " : "''");
}

/** The property in which an expression ends, if its value can come from there alone. */
export function lastMember(code: string): string | undefined {
  const structure = bare(code).replace(/[\s;]+$/, "");
  return /&&|\?/.test(structure) ? undefined : /\.\s*([A-Za-z_$][\w$]*)$/.exec(structure)?.[1];
}

/** The first tag with a surplus bracket, else the last with one that no later tag closes. */
export function misplacedBracket(pieces: Piece[]): { tag?: Tag; why: string } {
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

const FOR = "<% for (const x of list) { %> ... <% } %>";
const IF = "<% if (x) { %> ... <% } %>";
const UNLESS = "<% if (!x) { %> ... <% } %>";
const OPTIONS = "bind_tcp('0.0.0.0', 80, { backlog: 100 })";
const TRY = "<% try { %> ... <% } catch (error) { %> ... <% } %>";

/** Ruby's words that are none of JavaScript's, and what to write instead. */
const WORDS = new Map([
  ["end", "<% } %>"],
  ["elsif", "<% } else if (x) { %>"],
  ["unless", UNLESS],
  ["until", "<% while (!x) { %> ... <% } %>"],
  ["when", "<% } else if (x) { %>"],
  ["begin", TRY],
  ["rescue", TRY],
  ["ensure", TRY],
  ["def", "<% function name(x) { %> ... <% } %>"],
  ["puts", "<%= x %>"],
  ["raise", "<% throw new Error('why') %>"],
  ["nil", "null (and x == null for nil?)"],
  ["require", "nothing: bind_tcp, bind and ENV are there already"],
  ["require_relative", "nothing: bind_tcp, bind and ENV are there already"],
]);

const READ_FILE = "Deno.readTextFileSync('/path')";
const COMMAND = "ENV['NAME'], and set NAME where multibinder is started: no command is run here";

/** Ruby's modules, and its functions with the names of types. */
const CONSTANTS = new Map([
  ["Time", "new Date().toISOString()"],
  ["DateTime", "new Date().toISOString()"],
  ["File", READ_FILE],
  ["IO", READ_FILE],
  ["Pathname", READ_FILE],
  ["Dir", "Deno.readDirSync('/path')"],
  ["YAML", `JSON.parse(${READ_FILE})`],
  ["Socket", "Deno.hostname()"],
  ["Etc", "navigator.hardwareConcurrency for nprocessors, ENV['USER'] for getlogin"],
  ["Process", "Deno.pid"],
  ["Open3", COMMAND],
  ["Integer", "Number(x)"],
  ["Float", "Number(x)"],
]);

/** Ruby's methods that no value of JavaScript has, of use in a config. */
const METHODS = new Map([
  ["upcase", "x.toUpperCase()"],
  ["downcase", "x.toLowerCase()"],
  ["capitalize", "x[0].toUpperCase() + x.slice(1)"],
  ["strip", "x.trim()"],
  ["chomp", "x.trimEnd()"],
  ["lstrip", "x.trimStart()"],
  ["rstrip", "x.trimEnd()"],
  ["sub", "x.replace('a', 'b')"],
  ["gsub", "x.replaceAll('a', 'b')"],
  ["lines", "x.split('\\n')"],
  ["rjust", "x.padStart(8)"],
  ["ljust", "x.padEnd(8)"],
  ["to_s", "String(x)"],
  ["to_i", "Number(x)"],
  ["to_f", "Number(x)"],
  ["to_a", "[...x]"],
  ["to_json", "JSON.stringify(x)"],
  ["inspect", "JSON.stringify(x)"],
  ["size", "x.length"],
  ["count", "x.length"],
  ["first", "x[0]"],
  ["last", "x.at(-1)"],
  ["min", "Math.min(...x)"],
  ["max", "Math.max(...x)"],
  ["sum", "x.reduce((a, b) => a + b, 0)"],
  ["uniq", "[...new Set(x)]"],
  ["compact", "x.filter((each) => each != null)"],
  ["flatten", "x.flat()"],
  ["each", FOR],
  ["each_with_index", "<% for (const [i, x] of list.entries()) { %> ... <% } %>"],
  ["times", "<% for (let i = 0; i < 3; i++) { %> ... <% } %>"],
  ["collect", "x.map((each) => ...)"],
  ["select", "x.filter((each) => ...)"],
  ["reject", "x.filter((each) => !...)"],
  ["inject", "x.reduce((a, b) => ..., 0)"],
]);

/** Ruby's constructs. Each is only tried on code that does not compile, so none may be exact. */
const CONSTRUCTS: [RegExp, string][] = [
  [/\bdo(?:\s*\|[^|]*\|)?\s*$|\{\s*\|[^|]*\|/, FOR],
  [/^\s*for\s+\w+\s+in\b/, FOR],
  [/^\s*if\b(?!\s*\()/, IF],
  [/^\s*while\b(?!\s*\()/, "<% while (x) { %> ... <% } %>"],
  [/^\s*case\b[^:]*$/, IF],
  [/^\s*else\s*$/, "<% } else { %>"],
  [/(?::\w+|'')\s*=>/, OPTIONS],
  [/\bbind(?:_tcp)?\s*\([^{]*\b[a-z_]+:\s/, OPTIONS],
  [/^\s*bind_tcp\s+[^\s(]/, "bind_tcp('0.0.0.0', 80)"],
  [/^\s*bind\s+[^\s(]/, "bind('0.0.0.0:80')"],
  [/\S\s+(?:if|unless)\s+\S/, "x ? 'yes' : 'no'"],
  [/\S\s+(?:and|or)\s+\S|^\s*not\s/, "&& for and, || for or, ! for not"],
  [/\.(?:has_)?key\?/, "ENV['NAME'] !== undefined"],
  [/\.(?:include|member)\?/, "x.includes(y)"],
  [/\w\?(?:\s|\)|$)/, "!x for nil? and empty?"],
  [/\(\s*&:\w/, "x.map((each) => String(each))"],
  [/@\w/, "const x = 1, and x without @"],
  [/(?:^|[(,[=])\s*:[a-z_]/, "'name' for :name"],
  [/(?:^|\s)#(?:\s|$)/m, "<%# comment %> or // comment"],
  [/%[wi][[({]/, "['a', 'b']"],
  [/\w\.\.\.?\w/, "for (let i = 1; i <= 3; i++) { ... }"],
];

const isRuby = (instead: string) =>
  `this is Ruby; multibinder templates are JavaScript (Eta): write ${instead}`;

/** Says that code which does not compile is Ruby, and what to write instead; else undefined. */
export function rubyConstruct(code: string): string | undefined {
  const structure = bare(code);
  const word = /^\s*(\w+)/.exec(structure)?.[1] ?? "";
  const instead = CONSTRUCTS.find(([construct]) => construct.test(structure))?.[1] ??
    WORDS.get(word);
  return instead && isRuby(instead);
}

/** The same for a name that JavaScript did not know when the code ran. */
export function rubyWord(name: string): string | undefined {
  const instead = WORDS.get(name) ?? CONSTANTS.get(name);
  return instead && isRuby(instead);
}

/** The same for a property that is not there. */
export function rubyMethod(name: string): string | undefined {
  const instead = METHODS.get(name);
  return instead && isRuby(instead);
}

/** The same for code that JavaScript makes NaN of. */
export function rubyArithmetic(code: string): string | undefined {
  const structure = bare(code);
  if (/''\s*%/.test(structure)) return isRuby("`${x}`");
  if (/''\s*\*/.test(structure)) return isRuby("'a'.repeat(3)");
  const words = [...structure.matchAll(/\.([a-z_]+)\b(?!\s*\()/g)].map(([, word = ""]) => word);
  return words.map(rubyMethod).find((ruby) => ruby !== undefined);
}

/** The same for a printed string that Ruby would run as a command. */
export function rubyCommand({ kind, code }: Tag): string | undefined {
  const [, method] = /^\s*`[^`$\n]+`\s*(?:\.(\w+)\s*)*;?\s*$/.exec(code) ?? [undefined, ""];
  const isCommand = kind === "print" && (method === undefined || METHODS.has(method));
  return isCommand ? isRuby(COMMAND) : undefined;
}

/** The same for a double-quoted string, which JavaScript would print with its `#{...}`. */
export function rubyInterpolation(code: string): string | undefined {
  if (!code.includes("#{")) return undefined;
  const string = code.match(LITERAL)?.find((literal) => /^"(?:\\[^]|[^\\])*?#\{/.test(literal));
  return string && isRuby(string.replace(/^"|"$/g, "`").replaceAll("#{", "${"));
}
