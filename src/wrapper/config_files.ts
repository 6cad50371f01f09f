/** Config templates and the files rendered from them. */

import fs from "node:fs";
import { resolve } from "node:path";
import { FIRST_FD } from "../../ffi/spawn.ts";
import { splitAddress } from "../sockets/address.ts";
import { expandAddresses } from "../sockets/address_list.ts";
import { EXIT, messageOf, UserError } from "../errors.ts";
import type { BindParam } from "../control/messages.ts";
import { decode, encode } from "../templates/bytes.ts";
import { render } from "../templates/render.ts";

/** Endings that make a config file a template; the rendered file has the name without it. */
const TEMPLATE = /\.(eta|erb|mb)$/;

/** A template, and the file that it is rendered to. */
export interface Template {
  template: string;
  target: string;
}

/** A file to write. */
export interface RenderedFile extends Template {
  text: string;
}

/** A set of templates, rendered with one numbering of sockets. */
export interface Rendered {
  files: RenderedFile[];
  /** The sockets that the files name: the first is to be descriptor 3 of the server, and so on. */
  sockets: BindParam[];
}

/**
 * Where each template among config files is rendered to: beside it, or into `renderDir`.
 * @throws {UserError} when two would be rendered to one file, or one to none
 */
export function planTargets(
  configs: readonly string[],
  renderDir: string | undefined,
): Template[] {
  const plan = configs.filter((path) => TEMPLATE.test(path)).map((path) => {
    const target = path.replace(TEMPLATE, "");
    const name = target.slice(target.lastIndexOf("/") + 1);
    if (name === "") throw new UserError(`${path}: without its ending it has no name to render to`);
    return { template: path, target: renderDir === undefined ? target : `${renderDir}/${name}` };
  });
  const seen = new Map<string, string>();
  for (const { template, target } of plan) {
    const file = resolve(target);
    const other = seen.get(file);
    if (other !== undefined && resolve(other) !== resolve(template)) {
      throw new UserError(`${other} and ${template} would both be rendered to ${target}`, {
        exitCode: EXIT.usage,
      });
    }
    seen.set(file, template);
  }
  return plan;
}

/**
 * The templates that lie in folders among config files. They are not rendered, and the server does not
 * read them either.
 */
export function passedOver(configs: readonly string[]): string[] {
  return configs.filter(isFolder).flatMap((folder) =>
    [...Deno.readDirSync(folder)].filter(({ name }) => TEMPLATE.test(name))
      .map(({ name }) => `${folder}/${name}`)
  ).toSorted();
}

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false; // The server will say so.
  }
}

/** The rendered file of each template. */
export function targetsOf(templates: readonly Template[]): Map<string, string> {
  return new Map(templates.map(({ template, target }) => [template, target]));
}

/**
 * Renders templates. Nothing is bound or written yet. Every address of a bind call gets a number of its
 * own, since a server must not be given one descriptor twice.
 * @param templates paths, with the path to write each to
 * @param env in scope as `ENV`
 * @param socketNames what stands in a config for the sockets with these descriptors
 * @throws {UserError} TemplateError, or when a file cannot be read
 */
export function renderFiles(
  templates: readonly Template[],
  env: Readonly<Record<string, string>>,
  socketNames: (descriptors: readonly number[]) => string,
): Rendered {
  const sockets: BindParam[] = [];
  const bind = ({ address, backlog }: { address: string; backlog?: number }) => {
    const descriptors = expandAddresses(address).map((one) => {
      const parts = splitAddress(one);
      if (parts.port === 0) throw new UserError("port 0 is another port each time; name one");
      sockets.push({ ...parts, ...(backlog !== undefined && { backlog }) });
      return FIRST_FD + sockets.length - 1;
    });
    return socketNames(descriptors);
  };
  const files = templates.map(({ template, target }) => {
    const text = render(readTemplate(template), { file: template, env, bind });
    return { template, target, text };
  });
  return { files, sockets };
}

/**
 * Writes the rendered files, each in one step, so that a reader sees the old text or the new. A file that
 * exists keeps its mode and owner; a new one has its template's, which may guard a secret.
 * @param remedy what to do about one that cannot be written, after the reason
 * @throws {UserError} when one cannot be written, or, before any is, when one is a template itself
 */
export function writeFiles(
  files: readonly RenderedFile[],
  remedy = "; --render-dir puts it into another folder",
): void {
  const templates = files.map(({ template }) => existing(template));
  for (const { target } of files) {
    const there = existing(target);
    if (there && templates.some((one) => one?.dev === there.dev && one.ino === there.ino)) {
      throw new UserError(`cannot write ${target}: it is a template, and would be lost`);
    }
  }
  for (const { template, target, text } of files) {
    try {
      writeAtomically(followLink(target), text, existing(target) ?? Deno.statSync(template));
    } catch (error) {
      throw new UserError(`cannot write ${target}: ${messageOf(error)}${remedy}`, { cause: error });
    }
  }
}

/** What is in a rendered file: bytes of the template that are no UTF-8 are as they were. */
export function bytesOf({ text }: RenderedFile): Uint8Array {
  return encode(text);
}

/**
 * Writes a rendered file to where somebody has pointed: as {@link writeFiles}, but a pipe is written to as
 * well, which may wait for its reader.
 * @throws {UserError} the same
 */
export function writeOutput(file: RenderedFile): void {
  const { target, text } = file;
  if (!existing(target)?.isFifo) return writeFiles([file], "");
  try {
    Deno.writeFileSync(target, encode(text), { create: false });
  } catch (error) {
    throw new UserError(`cannot write ${target}: ${messageOf(error)}`, { cause: error });
  }
}

/**
 * Replaces a file in one step; a device is written to.
 * @param like a file whose mode and owner it gets; without one it is ours, and readable to all
 */
export function writeAtomically(path: string, text: string, like?: Deno.FileInfo): void {
  if (existing(path)?.isCharDevice) {
    // A file in the place of /dev/null would harm all.
    return Deno.writeFileSync(path, encode(text), { create: false });
  }
  const temporary = `${path}.${crypto.randomUUID()}`;
  // Deno has no fchmod. By its name, whoever owns the folder could put a link to another file there.
  const file = fs.openSync(temporary, "wx", 0o600);
  try {
    fs.writeFileSync(file, encode(text));
    let mode = (like?.mode ?? 0o644) & 0o777;
    // Where the group stays ours, it gets what the template gives to others.
    if (like && !giveTo(file, like)) mode = mode & ~0o070 | (mode & 0o007) << 3;
    fs.fchmodSync(file, mode);
    Deno.renameSync(temporary, path);
  } catch (error) {
    if (existing(temporary)) Deno.removeSync(temporary);
    throw error;
  } finally {
    fs.closeSync(file);
  }
}

/**
 * Makes sure that {@link writeAtomically} can write a file, before anything depends on it.
 * @param what it is, for the error
 * @throws {UserError} why it cannot
 */
export function insistOnWritable(path: string, what: string): void {
  try {
    if (path === "") throw new Error("its name is empty");
    const there = existing(path);
    if (there?.isCharDevice) return;
    if (there?.isFile === false) throw new Error("something else than a file is there");
    const temporary = `${path}.${crypto.randomUUID()}`;
    Deno.writeTextFileSync(temporary, "", { createNew: true, mode: 0o600 });
    Deno.removeSync(temporary);
  } catch (error) {
    throw new UserError(`cannot write ${what} ${path || '""'}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** Gives a file the owner of another. @returns whether it has that one now, which only root can promise */
function giveTo(file: number, { uid, gid }: Deno.FileInfo): boolean {
  const made = fs.fstatSync(file);
  if (made.uid === uid && made.gid === gid) return true;
  try {
    fs.fchownSync(file, uid ?? made.uid, gid ?? made.gid);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) return false;
    throw error;
  }
}

function readTemplate(path: string): string {
  try {
    return decode(Deno.readFileSync(path));
  } catch (error) {
    throw new UserError(`cannot read the template ${path}: ${messageOf(error)}`, { cause: error });
  }
}

function existing(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch {
    return undefined;
  }
}

function followLink(path: string): string {
  return existing(path)?.isFile ? Deno.realPathSync(path) : path;
}
