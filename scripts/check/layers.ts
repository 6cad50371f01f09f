/**
 * Checks that dependencies point down: which part of the program may import which, and where system calls
 * and exits may be. It reads the import statements of every file but the tests.
 *
 *     deno run --allow-read=. scripts/check/layers.ts
 */
// deno-lint-ignore-file no-console -- a script speaks to the terminal
import { posix } from "node:path";

/** What everything in `src/` may use besides its own folder; these know no word of binder or wrapper. */
const SHARED = [
  "src/accounts.ts",
  "src/duration.ts",
  "src/errors.ts",
  "src/escape.ts",
  "src/finding.ts",
  "src/input_file.ts",
  "src/log.ts",
  "src/proc.ts",
  "src/stderr.ts",
  "src/turns.ts",
  "src/version.ts",
];

/** What each folder or file may import besides itself and, within `src/`, the shared files. */
const MAY_IMPORT: Record<string, string[]> = {
  "mod.ts": ["src/library.ts", "src/control/client.ts", "ffi/errno.ts"],
  "src/library.ts": ["src/control/", "src/sockets/", "ffi/"],
  "src/main.ts": ["src/cli/", "src/process/start.ts"],
  "src/cli/": [
    "src/binder/",
    "src/wrapper/",
    "src/servers/",
    "src/process/",
    "src/control/",
    "src/sockets/",
    "ffi/",
  ],
  "src/binder/": ["src/process/", "src/control/", "src/systemd/", "src/sockets/", "ffi/"],
  "src/wrapper/": [
    "src/servers/",
    "src/templates/",
    "src/process/",
    "src/control/",
    "src/systemd/",
    "src/sockets/",
    "ffi/",
  ],
  "src/servers/": ["src/process/", "src/systemd/", "src/sockets/", "ffi/"],
  "src/templates/": ["src/sockets/"],
  "src/process/": ["src/control/", "src/systemd/", "ffi/"],
  "src/control/": ["src/sockets/", "ffi/"],
  "src/systemd/": ["ffi/"],
  "src/sockets/": ["ffi/"],
  ...Object.fromEntries(SHARED.map((file) => [file, ["ffi/"]])),
  "ffi/": [],
};

/**
 * Who may import packages, Node's modules, and the version in deno.json. What mod.ts imports imports none:
 * a program that uses the library from a path or a URL has an import map of its own.
 */
const EXTERNAL: Record<string, string[]> = {
  "@std/cli/parse-args": ["src/cli/"],
  "@std/fmt/colors": ["src/log.ts", "src/cli/"],
  "@std/fmt/duration": ["src/duration.ts"],
  "@std/text/closest-string": ["src/cli/"],
  "@std/text/levenshtein-distance": ["src/cli/"],
  "acorn": ["src/templates/"],
  "eta/core": ["src/templates/"],
  "node:crypto": ["src/process/"],
  "node:fs": ["src/wrapper/"],
  "smol-toml": ["src/cli/"],
  "node:path": ["src/wrapper/", "src/servers/"],
};

/** Words that belong in one place alone. */
const WORDS: { pattern: RegExp; place: string }[] = [
  { pattern: /\b(?:dlopen|Unsafe(?:PointerView|Pointer|Callback|FnPointer))\b/g, place: "ffi/" },
  { pattern: /\b(?:Deno|process)\.exit\b/g, place: "src/main.ts" },
  // The names of servers, whether as a word or within one: what is particular to one is behind the boundary.
  {
    pattern:
      /haproxy|nginx|caddy|gunicorn|uvicorn|lighttpd|traefik|pgbouncer|php-?fpm|unicorn|puma\b/gi,
    place: "src/servers/",
  },
];

/** One broken rule. */
export interface Violation {
  file: string;
  line: number;
  message: string;
}

/** An import of one file of the project by another. */
interface Edge {
  target: string;
  line: number;
}

interface Import {
  line: number;
  /** Undefined when it is computed, as in `import(name)`. */
  specifier: string | undefined;
}

/**
 * Checks a source tree.
 *
 * @param files the text of each file by its path from the project's root; tests are left out by the caller
 * @returns the broken rules, none when the tree is in order
 */
export function checkLayers(files: Map<string, string>): Violation[] {
  const violations: Violation[] = [];
  const edges = new Map<string, Edge[]>();

  for (const [file, text] of files) {
    const code = withoutComments(text);
    const report = (line: number, message: string) => violations.push({ file, line, message });
    for (const { pattern, place } of WORDS) {
      if (isIn(file, place)) continue;
      for (const match of code.matchAll(pattern)) {
        report(lineAt(code, match.index), `${match[0]}: belongs in ${place} alone`);
      }
    }
    const place = placeOf(file);
    if (place === undefined) {
      report(1, "unknown file: give it a row in the tables of scripts/check/layers.ts");
      continue;
    }
    const targets: Edge[] = [];
    edges.set(file, targets);
    for (const { line, specifier } of importsOf(code)) {
      if (specifier === undefined) {
        report(line, "computed import: nothing can check what it loads");
        continue;
      }
      const local = specifier.startsWith(".");
      const target = local ? posix.join(posix.dirname(file), specifier) : specifier;
      if (local) targets.push({ target, line });
      const reason = local ? refusal(file, place, target) : externalRefusal(place, target);
      if (reason) report(line, `imports ${specifier}: ${reason}`);
    }
  }
  return [...violations, ...cycles(edges)];
}

function isIn(file: string, place: string): boolean {
  return place.endsWith("/") ? file.startsWith(place) : file === place;
}

/** The row of the table that a file falls under. */
function placeOf(file: string): string | undefined {
  return Object.keys(MAY_IMPORT).find((place) => isIn(file, place));
}

/** Why `file` may not import `target`, a file of the project; undefined if it may. */
function refusal(file: string, place: string, target: string): string | undefined {
  const allowed = MAY_IMPORT[place] ?? [];
  if ([place, ...allowed].some((each) => isIn(target, each))) return undefined;
  if (file.startsWith("src/") && SHARED.includes(target)) return undefined;
  return `${place} may import ${allowed.join(", ") || "nothing"}, not ${target}`;
}

/** The same for a package or a module of Node's. */
function externalRefusal(place: string, specifier: string): string | undefined {
  const users = Object.hasOwn(EXTERNAL, specifier) ? EXTERNAL[specifier] : undefined;
  if (users === undefined) return "not an allowed dependency";
  return users.includes(place) ? undefined : `only for ${users.join(", ")}, not ${place}`;
}

/** Blanks comments and keeps the line numbers; strings are matched so that a `//` in one is no comment. */
function withoutComments(text: string): string {
  const token =
    /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;
  return text.replace(token, (m) => m.startsWith("/") ? m.replace(/[^\n]/g, " ") : m);
}

function importsOf(code: string): Import[] {
  const statement = /^\s*(?:import|export)\b(?:[^"'`;()=]*?\bfrom)?\s*(["'])([^"'\n]+)\1/gm;
  const call = /\bimport\s*\(\s*(?:(["'`])([^"'`$\n]*)\1)?/g;
  return [...code.matchAll(statement), ...code.matchAll(call)].map((match) => ({
    line: lineAt(code, match.index + match[0].length),
    specifier: match[2],
  }));
}

function lineAt(code: string, index: number): number {
  return code.slice(0, index).split("\n").length;
}

/** Finds each import that closes a circle, by a depth-first walk. */
function cycles(edges: Map<string, Edge[]>): Violation[] {
  const found: Violation[] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string) => {
    path.push(file);
    for (const { target, line } of edges.get(file) ?? []) {
      const start = path.indexOf(target);
      if (start >= 0) {
        const circle = [...path.slice(start), target].join(" -> ");
        found.push({ file, line, message: `import cycle: ${circle}` });
      } else if (!done.has(target)) visit(target);
    }
    path.pop();
    done.add(file);
  };
  for (const file of edges.keys()) if (!done.has(file)) visit(file);
  return found;
}

function sources(path: string, files = new Map<string, string>()): Map<string, string> {
  if (Deno.statSync(path).isDirectory) {
    for (const entry of Deno.readDirSync(path)) sources(`${path}/${entry.name}`, files);
  } else if (/\.[cm]?[jt]sx?$/.test(path) && !path.endsWith("_test.ts")) {
    files.set(path, Deno.readTextFileSync(path));
  }
  return files;
}

if (import.meta.main) {
  const files = new Map(["mod.ts", "src", "ffi"].flatMap((root) => [...sources(root)]));
  const violations = checkLayers(files);
  for (const { file, line, message } of violations) console.error(`${file}:${line}: ${message}`);
  console.log(`${files.size} files, ${violations.length} violations`);
  if (violations.length > 0 || files.size === 0) Deno.exit(1);
}
