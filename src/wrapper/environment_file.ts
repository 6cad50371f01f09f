/**
 * Files with variables for the environment, in the format of EnvironmentFile= (systemd.exec(5)): lines of NAME=VALUE. A
 * line that begins with # or ; is a comment; a backslash at the end of a line joins the next one to it. A value may
 * stand in quotes: in single ones each character stands for itself, in double ones and without quotes a backslash makes
 * the next character stand for itself.
 * @module
 */

import { messageOf, UserError } from "../errors.ts";
import { isMissing, readInputText } from "../input_file.ts";

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** A part of a value: in double quotes, in single ones, after a backslash, or plain. */
const PART = /"((?:\\[^]|[^"\\])*)"|'([^']*)'|\\([^])|([^"'\\]+)/gy;

/**
 * The environment of this process with the variables of such files, of which the later ones win.
 * @throws {UserError} as {@link readEnvironmentFile}
 */
export function environmentWith(files: readonly string[]): Record<string, string> {
  return Object.assign(Deno.env.toObject(), ...files.map(readEnvironmentFile));
}

/**
 * Reads such a file.
 * @param named its path; after a `-` it may be absent, as systemd has it
 * @throws {UserError} for a file that cannot be read, or for a malformed line, which it names
 */
export function readEnvironmentFile(named: string): Record<string, string> {
  const path = named.replace(/^-/, "");
  let text: string;
  try {
    text = readInputText(path);
  } catch (error) {
    if (path !== named && isMissing(error)) return {};
    throw new UserError(`cannot read the environment file ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  return parseEnvironment(text, path);
}

/** @param path for messages */
export function parseEnvironment(text: string, path: string): Record<string, string> {
  const variables: Record<string, string> = {};
  const lines = text.split("\n");
  for (let at = 0; at < lines.length; at++) {
    const first = at;
    let line = (lines[at] ?? "").trimStart();
    if (line.trim() === "" || /^[#;]/.test(line)) continue;
    while (isContinued(line) && at + 1 < lines.length) line = line.slice(0, -1) + lines[++at];
    const equals = line.indexOf("=");
    const name = line.slice(0, Math.max(0, equals)).trim();
    const value = equals < 0 ? undefined : valueOf(line.slice(equals + 1).trim());
    if (!NAME.test(name) || value === undefined || value.includes("\0")) {
      throw new UserError(`${path}:${first + 1}: ${whyNot(name, value)}`);
    }
    variables[name] = value;
  }
  return variables;
}

function whyNot(name: string, value: string | undefined): string {
  if (!NAME.test(name)) return "a line is NAME=VALUE, or a comment that begins with #";
  return value === undefined
    ? `the quotes of ${name}'s value do not end on this line`
    : `${name}'s value has a NUL character, which no variable can have`;
}

/** Whether a line ends with a backslash that is not itself after one. */
function isContinued(line: string): boolean {
  let backslashes = 0;
  while (line.at(-1 - backslashes) === "\\") backslashes++;
  return backslashes % 2 === 1;
}

/** Undefined when a quote has no end. */
function valueOf(written: string): string | undefined {
  let value = "";
  PART.lastIndex = 0;
  while (PART.lastIndex < written.length) {
    const match = PART.exec(written);
    if (match === null) return undefined;
    const [, double, single, escaped, plain] = match;
    value += double?.replaceAll(/\\([^])/g, "$1") ?? single ?? escaped ?? plain ?? "";
  }
  return value;
}
