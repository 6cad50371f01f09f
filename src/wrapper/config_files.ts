/** Config templates and the files rendered from them. */

import { resolve } from "node:path";
import { FIRST_FD } from "../../ffi/spawn.ts";
import { numericAddress, splitAddress } from "../sockets/address.ts";
import { expandAddresses } from "../sockets/address_list.ts";
import { formatOptions } from "../sockets/socket_options.ts";
import { EXIT, messageOf, UserError } from "../errors.ts";
import { readInput } from "../input_file.ts";
import type { BindParam } from "../control/messages.ts";
import { decode, encode } from "../templates/bytes.ts";
import { render, type SocketRequest } from "../templates/render.ts";
import { type Hide, hiderOf } from "../templates/secrets.ts";
import { follow, writeOutputFile } from "./output_file.ts";

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
  return configs.flatMap((path) => filesIn(path) ?? []).filter((path) => TEMPLATE.test(path))
    .toSorted();
}

/** Bytes of a file that is searched for variables: a program may be among the words of a command, too. */
const MAX_LOOKED_AT = 1024 * 1024;

/** Hides what a server's config files, templates or not, take from the environment. */
export function hiderFor(configs: readonly string[], env: Readonly<Record<string, string>>): Hide {
  const files = configs.flatMap((path) => filesIn(path) ?? path);
  return hiderOf(env, files.flatMap(textOf));
}

function textOf(path: string): string[] {
  try {
    return [decode(readInput(path, MAX_LOOKED_AT))];
  } catch {
    return []; // The server will say so.
  }
}

/** What a folder holds; undefined for what is no folder, or cannot be read, which the server will say. */
function filesIn(path: string): string[] | undefined {
  try {
    return [...Deno.readDirSync(path)].map(({ name }) => `${path}/${name}`);
  } catch {
    return undefined;
  }
}

/** The rendered file of each template. */
export function targetsOf(templates: readonly Template[]): Map<string, string> {
  return new Map(templates.map(({ template, target }) => [template, target]));
}

/**
 * Renders templates. Nothing is bound or written yet. Every address of a bind call gets a number of its
 * own, since a server must not be given one descriptor twice; the named sockets have the first numbers.
 * @param templates paths, with the path to write each to
 * @param env in scope as `ENV`
 * @param socketNames gives what stands in a config for the sockets with these descriptors
 * @param named the sockets that the command line names
 * @throws {UserError} TemplateError, or when a file cannot be read
 */
export function renderFiles(
  templates: readonly Template[],
  env: Readonly<Record<string, string>>,
  socketNames: (descriptors: readonly number[]) => string,
  named: readonly { address: string }[] = [],
): Rendered {
  const sockets: BindParam[] = [];
  const add = ({ address, options = {} }: SocketRequest) => {
    return expandAddresses(address, formatOptions(options)).map((one) => {
      const parts = splitAddress(one);
      // A malformed address is an error here, with file and line; a host name is looked up by whoever binds it.
      numericAddress(parts);
      if (parts.port === 0) throw new UserError("port 0 is another port each time; name one");
      sockets.push(parts);
      return FIRST_FD + sockets.length - 1;
    });
  };
  named.forEach(add);
  const bind = (request: SocketRequest) => socketNames(add(request));
  const files = templates.map(({ template, target }) => {
    const text = render(readTemplate(template), { file: template, env, bind });
    return { template, target, text };
  });
  return { files, sockets };
}

/**
 * Writes the rendered files, each in one step, so that a reader sees the old text or the new. A file that
 * exists keeps its mode and owner, unless a stranger can have put it there; a new one has its template's,
 * which may guard a secret.
 * @param remedy what to do about one that cannot be written, after the reason
 * @param toPipe whether a pipe is written to, and not replaced; that may wait for its reader
 * @throws {UserError} when one cannot be written, or, before any is, when one is a template itself
 */
export function writeFiles(
  files: readonly RenderedFile[],
  remedy = "; --render-dir puts it into another folder",
  toPipe = false,
): void {
  const templates = files.map(({ template }) => follow(template));
  for (const { target } of files) {
    const there = follow(target);
    if (there && templates.some((one) => one?.dev === there.dev && one.ino === there.ino)) {
      throw new UserError(`cannot write ${target}: it is a template, and would be lost`);
    }
  }
  for (const { template, target, text } of files) {
    try {
      writeOutputFile(target, text, Deno.statSync(template), toPipe);
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
 * Writes a rendered file to where somebody has pointed: as {@link writeFiles}, but a pipe is written to.
 * @throws {UserError} the same
 */
export function writeOutput(file: RenderedFile): void {
  writeFiles([file], "", true);
}

function readTemplate(path: string): string {
  try {
    return decode(readInput(path));
  } catch (error) {
    throw new UserError(`cannot read the template ${path}: ${messageOf(error)}`, { cause: error });
  }
}
