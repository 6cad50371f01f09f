/** The packages of the program under test. */

import { assert } from "@std/assert";
import { multibinder } from "../support/binder.ts";
import { tempDir } from "../support/temp_dir.ts";

const SCRIPT = new URL("../../scripts/package.sh", import.meta.url).pathname;

/** Runs a program that takes its time, and must succeed. @returns what it prints */
export async function must(program: string, ...args: string[]): Promise<string> {
  const env = { MULTIBINDER_BIN: multibinder() };
  const { success, stdout, stderr } = await new Deno.Command(program, { args, env }).output();
  const text = new TextDecoder();
  assert(success, `${program} ${args.join(" ")}: ${text.decode(stdout)}${text.decode(stderr)}`);
  return text.decode(stdout);
}

/** Of the packages that several tests use. */
const shared = tempDir();
globalThis.addEventListener("unload", () => shared[Symbol.dispose]());
let made: Promise<unknown> | undefined;

/** Makes packages once for all tests. @returns their folder, and the path of the Debian one */
export async function madeOnce(): Promise<{ folder: string; deb: string }> {
  const folder = shared.file("packages");
  await (made ??= must(SCRIPT, "1", folder));
  const deb = [...Deno.readDirSync(folder)].find(({ name }) => name.endsWith(".deb"));
  assert(deb !== undefined);
  return { folder, deb: `${folder}/${deb.name}` };
}
