/**
 * Checks that documentation, examples and help (and with it the man pages) name no option of multibinder, and no
 * variable, that does not exist: in its command lines, each option must be one of that command; an option that
 * stands alone, in inline code or on a line of its own in a manifest, must be one of any command. What follows
 * another program's name is that one's.
 *
 *     deno run --allow-read scripts/check/options.ts
 */
// deno-lint-ignore-file no-console -- a script speaks to the terminal
import { allCommands } from "../../src/cli/commands.ts";
import { suggest } from "../../src/cli/suggestion.ts";
import { fullHelp } from "../../src/cli/help.ts";
import { COMMON_OPTIONS, type Subcommand, variableOf } from "../../src/cli/subcommand.ts";
import { MARKS, STATE_VARIABLE } from "../../src/process/own_variables.ts";

/** What is looked through. */
const ROOTS = [
  ...["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "Dockerfile"],
  ...["docs", "examples", "packaging", ".github"],
];

/** Options of other programs that the docs name without the program. */
const FOREIGN: Readonly<Record<string, readonly string[]>> = {
  "deno": [
    "allow-all",
    "allow-env",
    "allow-ffi",
    "allow-read",
    "allow-write",
    "deny-import",
    "deny-net",
    "deny-run",
    "no-code-cache",
  ],
  "multibinder itself": ["version"],
  "scripts/bench.sh": ["only", "quick"],
  "docker": ["cap-add", "cap-drop", "format", "read-only", "sysctl", "tmpfs"],
  "servers that multibinder runs": [
    ...[
      "bind",
      "check-config",
      "config",
      "configFile",
      "fd",
      "graceful-timeout",
      "nodaemonize",
      "test",
    ],
  ],
  "the original's multibinder-haproxy-erb": ["erb-write-only"],
};

/** Variables that no option has: what one program tells the next, and what scripts and tests take. */
const OTHER_VARIABLES = [
  ...[STATE_VARIABLE, ...Object.values(MARKS)],
  ...["MULTIBINDER_BIN", "MULTIBINDER_UPGRADES", "MULTIBINDER_RELOADS", "MULTIBINDER_FUZZ_CASES"],
];

/** An option or a variable that does not exist. */
export interface Unknown {
  line: number;
  message: string;
}

/** What was found in a file: the options of ours that exist, and those that do not. */
export interface Findings {
  known: number;
  unknown: Unknown[];
}

/** Looks through one file. @param path tells by its ending where its code is */
export function checkOptions(
  path: string,
  text: string,
  commands: readonly Subcommand[],
): Findings {
  const findings: Findings = { known: 0, unknown: [] };
  for (const { line, code } of path.endsWith(".md") ? codeOfMarkdown(text) : linesOf(text)) {
    for (const { name, options } of mentions(code, commands)) {
      const existing = name === undefined ? commands : commands.filter((one) => one.name === name);
      const names = Object.keys(COMMON_OPTIONS).concat(
        ...existing.map((one) => Object.keys(one.options)),
      );
      const allowed = name === undefined ? names.concat(...Object.values(FOREIGN)) : names;
      for (const option of options) {
        if (allowed.includes(option)) findings.known++;
        else {
          const who = name === undefined ? "no command of multibinder" : `not multibinder ${name}`;
          const similar = suggest(`--${option}`, names.map((one) => `--${one}`));
          const message = `--${option}: ${who} has it${similar}`;
          findings.unknown.push({ line, message });
        }
      }
    }
  }
  return findings;
}

/**
 * Looks through the help of a command, from which its man page comes: there options stand in the sentences, and
 * may be another command's.
 */
export function checkHelp(subcommand: Subcommand, commands: readonly Subcommand[]): Findings {
  const names = Object.keys(COMMON_OPTIONS).concat(
    ...commands.map(({ options }) => Object.keys(options)),
    ...Object.values(FOREIGN),
  );
  const findings: Findings = { known: 0, unknown: [] };
  for (const { line, code } of linesOf(fullHelp(subcommand))) {
    for (
      const [option, name = ""] of code.replace(/ -- .*/, "").matchAll(/(?<!\S)--([a-z][\w-]*)/g)
    ) {
      const message = `${option}: no command of multibinder has it`;
      if (names.includes(name)) findings.known++;
      else findings.unknown.push({ line, message });
    }
  }
  return findings;
}

/** Looks for variables of ours through a file. */
export function checkVariables(text: string, commands: readonly Subcommand[]): Findings {
  const names = commands.flatMap((one) =>
    Object.entries({ ...one.options, ...COMMON_OPTIONS })
      .flatMap(([name, option]) => variableOf(one, name, option) ?? [])
  ).concat(OTHER_VARIABLES);
  const findings: Findings = { known: 0, unknown: [] };
  for (const { line, code } of linesOf(text)) {
    for (const [variable] of code.matchAll(/\bMULTIBINDER_[A-Z_]*[A-Z]\b/g)) {
      const message = `${variable}: no option${suggest(variable, names)}`;
      if (names.includes(variable)) findings.known++;
      else findings.unknown.push({ line, message });
    }
  }
  return findings;
}

interface Code {
  line: number;
  code: string;
}

/** Fenced blocks, and the inline code of the lines between them. */
function codeOfMarkdown(text: string): Code[] {
  let fenced = false;
  const code: Code[] = [];
  for (const one of linesOf(text)) {
    if (/^\s*(```|~~~)/.test(one.code)) fenced = !fenced;
    else if (fenced) code.push(one);
    else {
      for (const [, inline = ""] of one.code.matchAll(/`([^`]+)`/g)) {
        code.push({ line: one.line, code: inline });
      }
    }
  }
  return code;
}

/** The lines, where one that ends in a backslash has the next one in it. */
function linesOf(text: string): Code[] {
  const lines: Code[] = [];
  let open: Code | undefined;
  text.split("\n").forEach((part, index) => {
    const one: Code = open ?? { line: index + 1, code: "" };
    one.code += part.replace(/\\$/, " ");
    open = part.endsWith("\\") ? one : undefined;
    if (open === undefined) lines.push(one);
  });
  return lines;
}

interface Mention {
  /** Whose the options are; undefined when no command is named. */
  name: string | undefined;
  options: string[];
}

/** The options of ours in a line of code: shell, a manifest's, a unit's, a Dockerfile's. */
function mentions(code: string, commands: readonly Subcommand[]): Mention[] {
  const isCommand = (word: string | undefined) => commands.some(({ name }) => name === word);
  const plain = code.replace(/(^|\s)#.*$/, "").replace(/["'[\](){},`]/g, " ");
  return plain.split(/[;|&]/).flatMap((segment): Mention[] => {
    // A manifest's or unit's key, and the dash of a list.
    const words = segment.replace(/^\s*(- +)?(\w+\s*[:=]\s*)?(- +)?/, "").split(/\s+/).filter(
      Boolean,
    );
    const at = words.findIndex((word, index) =>
      /(^|\/)multibinder$/.test(word) && isCommand(words[index + 1])
    );
    if (at >= 0) return [{ name: words[at + 1], options: optionsOf(words.slice(at + 2)) }];
    // A list of arguments, as containers have it.
    const [first = "", second = ""] = words;
    if (isCommand(first) && second.startsWith("--")) {
      return [{ name: first, options: optionsOf(words.slice(1)) }];
    }
    return first.startsWith("--") ? [{ name: undefined, options: optionsOf(words) }] : [];
  });
}

/** The names of the options up to `--`, behind which another program's are. */
function optionsOf(words: readonly string[]): string[] {
  const end = words.indexOf("--");
  return words.slice(0, end < 0 ? words.length : end)
    .flatMap((word) => /^--([a-z][\w.-]*)/i.exec(word)?.[1] ?? []);
}

function* filesBelow(path: string): Generator<string> {
  if (!Deno.statSync(path).isDirectory) return yield path;
  for (const entry of Deno.readDirSync(path)) yield* filesBelow(`${path}/${entry.name}`);
}

if (import.meta.main) {
  const commands = await allCommands();
  let [known, unknown] = [0, 0];
  const take = (where: string, findings: Findings) => {
    for (const { line, message } of findings.unknown) console.error(`${where}:${line}: ${message}`);
    known += findings.known;
    unknown += findings.unknown.length;
  };
  const files = ROOTS.flatMap((root) => [...filesBelow(root)]);
  for (const path of files) {
    const text = Deno.readTextFileSync(path);
    take(path, checkOptions(path, text, commands));
    take(path, checkVariables(text, commands));
  }
  for (const one of commands) take(`multibinder help ${one.name}`, checkHelp(one, commands));
  console.log(
    `${known} options and variables in ${files.length} files and the help, ${unknown} unknown`,
  );
  if (unknown > 0 || known === 0) Deno.exit(1);
}
