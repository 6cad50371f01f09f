/**
 * What a config binds by itself and two processes cannot have at once: with it a first generation starts,
 * and none can ever follow it. Measured with HAProxy 2.6: abstract names, and ports without SO_REUSEPORT.
 * Paths of UNIX sockets can be bound by both (HAProxy renames its socket into place), and so can other ports.
 *
 * HAProxy's own reload has the old process let go of them for a moment (SIGTTOU). That is not for us: on
 * that signal HAProxy 2.6.12 with an abstract listener ended in a crash.
 */

import { UserError } from "../../errors.ts";
import { readInputText } from "../../input_file.ts";

/** Keywords whose first argument is one or more addresses to listen on. */
export const BINDS = /^\s*(bind|dgram-bind|stats\s+socket)\s+(\S+)/;
/** An address in the abstract namespace. */
const ABSTRACT = /^(?:stream\+|dgram\+)?abnsz?@/;
/** An address that is no port, or that of an inherited socket. */
export const NO_PORT = /^(?:fd@|sockpair@|unix@|uxst@|uxdg@|\/|rhttp@|quic)/;

/** A config file, as HAProxy reads it. */
export interface ConfigText {
  path: string;
  text: string;
}

/** What HAProxy reads for one config on its command line: a file, or a folder's files that end in .cfg. */
export function configTexts(path: string): ConfigText[] {
  try {
    // A pipe cannot be read twice.
    if (!Deno.statSync(path).isDirectory) return [{ path, text: readInputText(path) }];
    const names = [...Deno.readDirSync(path)].map(({ name }) => name);
    return names.filter((name) => name.endsWith(".cfg")).toSorted()
      .flatMap((name) => configTexts(`${path}/${name}`));
  } catch {
    // HAProxy has just read it: it was removed since, or is no file.
    return [];
  }
}

/**
 * Makes sure that a config can be up twice.
 * @param words HAProxy's command line
 * @throws {UserError} naming file, line and remedy
 */
export function insistOnReloadable(files: readonly ConfigText[], words: readonly string[]): void {
  const lines = readLines(files);
  const noReuse = words.includes("-dR")
    ? "-dR"
    : lines.find(({ line }) => /^\s*noreuseport\s*$/.test(line))?.at;
  for (const { at, line } of lines) {
    const [, keyword = "", list = ""] = BINDS.exec(line) ?? [];
    for (const address of list.split(",")) {
      if (ABSTRACT.test(address)) throw refusal(at, keyword, address, "an abstract name");
      const isPort = keyword === "bind" && address !== "" && !NO_PORT.test(address);
      if (isPort && noReuse !== undefined) {
        throw refusal(at, keyword, address, `a port without SO_REUSEPORT (${noReuse})`);
      }
    }
  }
}

/** The lines that HAProxy reads in any case, without comments and quotes, and where each stands. */
export function readLines(files: readonly ConfigText[]): { at: string; line: string }[] {
  return files.flatMap(({ path, text }) =>
    unconditional(text.split("\n")).map((line, index) => ({ at: `${path}:${index + 1}`, line }))
  );
}

function refusal(at: string, keyword: string, address: string, what: string): UserError {
  const remedy = keyword === "bind"
    ? `have it bound for both, in a template: bind <%= bind('${address}') %>`
    : "give it a path in place of that name";
  return new UserError(
    `${at}: ${address} is ${what}, which two generations cannot bind at once, so that no reload would ` +
      `succeed; ${remedy}`,
  );
}

/**
 * The lines that HAProxy reads in any case, without comments and quotes; others are empty. What stands
 * between `.if` and `.endif` may be left out, which only HAProxy can tell.
 */
function unconditional(lines: readonly string[]): string[] {
  let depth = 0;
  return lines.map((line) => {
    if (/^\s*\.if\b/.test(line)) depth++;
    else if (/^\s*\.endif\b/.test(line)) depth--;
    return depth > 0 ? "" : uncommented(line).replaceAll(/["']/g, "");
  });
}

/** A line without its comment; a `#` in quotes or after a backslash is none. */
function uncommented(line: string): string {
  return /^(?:\\.|"(?:\\.|[^"\\])*"|'[^']*'|[^#\\])*/.exec(line)?.[0] ?? "";
}
