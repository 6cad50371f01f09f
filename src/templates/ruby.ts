/** The Ruby that people write in ERB files, and what to write instead. */

import { bare, LITERAL } from "./code.ts";
import type { Tag } from "./scan.ts";

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
  ["nil", "'' where nothing is printed, else null (and x == null for nil?)"],
  ["print", "<%= x %>"],
  ["abort", "<% throw new Error('why') %>"],
  ["exit", "<% throw new Error('why') %>"],
  ["rand", "Math.floor(Math.random() * 10)"],
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
  ["Base64", "btoa('text') and atob('code')"],
  ["ERB", "several -f files: templates include no others"],
  ["format", "`${x}`"],
  ["sprintf", "`${x}`"],
  ["system", COMMAND],
  ["node", "ENV['NAME']: attributes of Chef are not there"],
  ["scope", "ENV['NAME']: variables of Puppet are not there"],
  ["Integer", "Number(x)"],
  ["Float", "Number(x)"],
]);

/** Methods of Ruby that are of use in a config, and that no value of JavaScript has. */
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
  ["each_pair", "<% for (const [key, x] of Object.entries(object)) { %> ... <% } %>"],
  ["upto", "for (let i = 1; i <= 3; i++) { ... }"],
  ["downto", "for (let i = 3; i >= 1; i--) { ... }"],
  ["times", "<% for (let i = 0; i < 3; i++) { %> ... <% } %>"],
  ["collect", "x.map((each) => ...)"],
  ["select", "x.filter((each) => ...)"],
  ["reject", "x.filter((each) => !...)"],
  ["inject", "x.reduce((a, b) => ..., 0)"],
  ["detect", "x.find((each) => ...)"],
  ["flat_map", "x.flatMap((each) => ...)"],
  ["sort_by", "x.sort((a, b) => ...)"],
  ["with_index", "x.map((each, i) => ...)"],
  ["chars", "[...x]"],
  ["merge", "{ ...x, ...y }"],
  ["to_h", "Object.fromEntries(x)"],
  ["to_sym", "'name'"],
  ["freeze", "x"],
  ["generate", "JSON.stringify(x)"],
  ["pretty_generate", "JSON.stringify(x, null, 2)"],
]);

/** What Ruby's methods with a question mark become. */
const QUESTIONS = new Map([
  ["key", "ENV['NAME'] !== undefined"],
  ["has_key", "ENV['NAME'] !== undefined"],
  ["include", "x.includes(y)"],
  ["member", "x.includes(y)"],
  ["start_with", "x.startsWith('a')"],
  ["end_with", "x.endsWith('a')"],
  ["match", "/a/.test(x)"],
  ["exist", "Deno.statSync('/path').isFile, which throws where nothing is"],
  ["file", "Deno.statSync('/path').isFile, which throws where nothing is"],
  ["any", "x.length > 0, or x.some((each) => ...)"],
  ["all", "x.every((each) => ...)"],
]);

/** Ruby's methods with a block, where JavaScript has a method of that name or a better way. */
const BLOCKS = new Map([
  ["map", "x.map((each) => ...)"],
  ["sort", "x.sort((a, b) => ...)"],
  ["find", "x.find((each) => ...)"],
  ["loop", "<% while (true) { %> ... <% } %>"],
]);

const FOR_ENV = "<% for (const [name, x] of Object.entries(ENV)) { %> ... <% } %>";
const BLOCK = /(\w+[?!]?)\s*(?:\([^()]*\)\s*)?(?:\bdo\b\s*(?:\||$)|\{\s*\|)/m;
const ELSE_IF = "<% } else if (x) { %>";
const COUNT = "for (let i = 1; i <= 3; i++) { ... }";

/** Ruby's constructs. They are tried only on code that does not compile, so that none need be exact. */
const CONSTRUCTS: [RegExp, string][] = [
  [/\bENV\.fetch\b\s*(?:\([^()]*\)\s*(?:\{|\bdo\b)|[^\s(])/, "ENV.fetch('NAME', 'default')"],
  [/\bENV\.(?:each|select|filter|map|reject|sort|find)\w*/, FOR_ENV],
  [/^\s*for\s+\w+\s+in\b/, FOR],
  [/\belse\s+if\b(?!\s*\()/, ELSE_IF],
  [/^\s*if\b(?!\s*\()/, IF],
  [/^\s*while\b(?!\s*\()/, "<% while (x) { %> ... <% } %>"],
  [/^\s*case\b[^:]*$/, IF],
  [/^\s*else\s*$/, "<% } else { %>"],
  [/^\s*raise\b.*\s(?:if|unless)\s/, "if (x) throw new Error('why')"],
];

/** The same, where no word of Ruby's starts the code. */
const MORE_CONSTRUCTS: [RegExp, string][] = [
  [/(?:^|[^\w.])\d+\.\.\.?\w|\w\.\.\.?\d/, COUNT],
  [/(?::\w+|'')\s*=>/, OPTIONS],
  [/\bbind(?:_tcp)?\s*\([^{]*\b[a-z_]+:\s/, OPTIONS],
  [/^\s*bind_tcp\s+[^\s(]/, "bind_tcp('0.0.0.0', 80)"],
  [/^\s*bind\s+[^\s(]/, "bind('0.0.0.0:80')"],
  [/^\s*@?\w+\s*[|&+]{0,2}=[^=].*\s(?:if|unless)\s+\S/, "if (x) y = 1"],
  [/\S\s+(?:if|unless)\s+\S/, "x ? 'yes' : 'no'"],
  [/\S\s+(?:and|or)\s+\S|^\s*not\s/, "&& for and, || for or, ! for not"],
  [/\w\?(?:\s|\(|\)|$)/, "!x for nil? and empty?"],
  [/\(\s*&:\w/, "x.map((each) => String(each))"],
  [/[\w)\]]&\.\w/, "x?.y for x&.y"],
  [/@\w/, "const x = 1, and x without @"],
  [/(?:^|[(,[=])\s*:[A-Za-z_]/, "'name' for :name"],
  [/(?:^|\s)#(?:\s|$)/m, "<%# comment %> or // comment"],
  [/%[wiWI][[({]/, "['a', 'b']"],
  [/%[qQ]?[[({]/, "`text`"],
  [/<<[~-]?(?:[A-Z]|'')/, "`text`, which may have several lines"],
  [/<</, "x.push(y)"],
  [/->\s*[({]/, "(x) => ..."],
  [/^=(?:begin|end)\b/, "<%# comment %> or /* comment */"],
  [/\w\.\.\.?\w/, COUNT],
];

const isRuby = (instead: string) =>
  `this is Ruby; multibinder templates are JavaScript (Eta): write ${instead}`;

/** Says that code which does not compile is Ruby, and what to write instead; else undefined. */
export function rubyConstruct(code: string): string | undefined {
  const structure = bare(code);
  const match = (constructs: [RegExp, string][]) =>
    constructs.find(([construct]) => construct.test(structure))?.[1];
  const [, word = ""] = /^\s*(?:\}\s*)?(\w+)/.exec(structure) ?? [];
  const [, question = ""] = /\.(\w+)\?(?!\.)/.exec(structure) ?? [];
  const instead = match(CONSTRUCTS) ?? WORDS.get(word) ?? withBlock(structure) ??
    QUESTIONS.get(question) ?? match(MORE_CONSTRUCTS);
  return instead && isRuby(instead);
}

function withBlock(structure: string): string | undefined {
  const method = BLOCK.exec(structure)?.[1];
  if (method === undefined) return undefined;
  if (/\w\.\.\.?\w/.test(structure)) return COUNT;
  return BLOCKS.get(method) ?? QUESTIONS.get(method.slice(0, -1)) ?? METHODS.get(method) ?? FOR;
}

/** The same for a name that was not defined when the code ran. */
export function rubyWord(name: string): string | undefined {
  const instead = WORDS.get(name) ?? CONSTANTS.get(name);
  return instead && isRuby(instead);
}

/** The same for a property that is not there. */
export function rubyMethod(name: string): string | undefined {
  const instead = METHODS.get(name);
  return instead && isRuby(instead);
}

/** The same for code whose value is NaN in JavaScript. */
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

/**
 * The same for a double-quoted string with `#{...}` in it, which JavaScript would print as it is. `at` is
 * where in the code the string begins.
 */
export function rubyInterpolation(code: string): { why: string; at: number } | undefined {
  if (!code.includes("#{")) return undefined;
  for (let at = 0; at < code.length; at++) {
    if (code[at] === '"') {
      const end = endOfString(code, at);
      const translated = asTemplateLiteral(code.slice(at, end));
      if (translated.includes("${")) return { why: isRuby(translated), at };
      at = end - 1;
    } else {
      LITERAL.lastIndex = at;
      const literal = LITERAL.exec(code);
      if (literal?.index === at) at += literal[0].length - 1;
    }
  }
  return undefined;
}

/** Where a double-quoted string ends in Ruby: its `#{...}` may hold strings with quotes of their own. */
function endOfString(code: string, start: number): number {
  let at = start + 1;
  while (at < code.length && code[at] !== '"') {
    if (code[at] === "\\") at += 2;
    else if (code.startsWith("#{", at)) at = endOfBraces(code, at + 2);
    else at++;
  }
  return at + 1;
}

function endOfBraces(code: string, start: number): number {
  let at = start;
  while (at < code.length && code[at] !== "}") {
    if (code[at] === '"') at = endOfString(code, at);
    else if (code[at] === "{") at = endOfBraces(code, at + 1);
    else at++;
  }
  return at + 1;
}

/** A double-quoted string of Ruby as JavaScript's `...`, those within its `#{...}` too. */
function asTemplateLiteral(string: string): string {
  if (!/(?<!\\)#\{/.test(string)) return string;
  let text = "`";
  const end = string.endsWith('"') ? string.length - 1 : string.length;
  for (let at = 1; at < end; at++) {
    if (string[at] === "\\") text += string.slice(at, ++at + 1);
    else if (string.startsWith("#{", at)) {
      const close = endOfBraces(string, at + 2);
      text += "${" + withTemplateLiterals(string.slice(at + 2, close - 1)) + "}";
      at = close - 1;
    } else text += string[at] === "`" ? "\\`" : string[at];
  }
  return text + "`";
}

function withTemplateLiterals(code: string): string {
  const start = code.indexOf('"');
  if (start === -1) return code;
  const end = endOfString(code, start);
  return code.slice(0, start) + asTemplateLiteral(code.slice(start, end)) +
    withTemplateLiterals(code.slice(end));
}
