/**
 * The programs of the Ruby multibinder: started under their names, by a link, this program does what they did. It
 * starts once more, as a command of its own that does the same, so that an upgrade in place finds plain words.
 */

import { execute } from "../../ffi/process.ts";
import { EXIT, UserError } from "../errors.ts";
import { ownCommand } from "../process/successor.ts";

/** An option of the program that renders: start no server after that. */
const WRITE_ONLY = "--erb-write-only";

/** The name under which this program was started, without its folder. */
export function nameOfStart(): string {
  const [path = ""] = Deno.readTextFileSync("/proc/self/cmdline").split("\0");
  return path.slice(path.lastIndexOf("/") + 1);
}

/**
 * What a command line under one of those names means here; undefined under any other name. The names have that of
 * the server in the middle.
 * @throws {UserError} when there is no template to render
 */
export function meaningOf(name: string, args: readonly string[]): string[] | undefined {
  const [, kind] = /^multibinder-[a-z]+-(wrapper|erb)$/.exec(name) ?? [];
  if (kind === undefined) return undefined;
  if (kind === "wrapper" || !args.includes(WRITE_ONLY)) return ["exec", "--", ...args];
  const at = args.indexOf("-f");
  const template = at < 0 ? "" : args[at + 1] ?? "";
  const target = template.replace(/\.(erb|mb|eta)$/, "");
  if (target !== template) return ["render", "--output", target, "--", template];
  const why = "-f must name a template whose name ends in .erb, .mb or .eta";
  throw new UserError(`${name} ${WRITE_ONLY}: ${why}`, { exitCode: EXIT.usage });
}

/** Becomes the command that such a command line means. */
export function become(words: readonly string[]): never {
  const [program, ...own] = ownCommand();
  execute(program, [program, ...own, ...words], Deno.env.toObject(), []);
}
