/** The file of a program that runs, to be replaced under it. */

import { multibinder } from "./binder.ts";
import { type TempDir, tempDir } from "./temp_dir.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
/** What a build needs. */
const SOURCES = ["deno.json", "deno.lock", "ffi", "scripts", "src"];

/** A copy of the program. */
export class ProgramFile implements Disposable {
  readonly #folder: TempDir = tempDir();
  readonly path = this.#folder.file("multibinder");

  constructor() {
    this.replace(multibinder());
  }

  /** Puts another program in its place, as a package manager does: in one step. */
  replace(program: string): void {
    const fresh = this.#folder.file("new");
    Deno.copyFileSync(program, fresh);
    Deno.chmodSync(fresh, 0o755);
    Deno.renameSync(fresh, this.path);
  }

  /** Puts a shell script in its place. */
  replaceByScript(text: string): void {
    const fresh = this.#folder.file("new");
    Deno.writeTextFileSync(fresh, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    Deno.renameSync(fresh, this.path);
  }

  remove(): void {
    Deno.removeSync(this.path);
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

/** A program that was built; gone at the end of the scope. */
export interface BuiltProgram extends Disposable {
  path: string;
}

/**
 * Builds the program from changed sources.
 * @param changes by file: what is replaced, and by what
 */
export async function buildChanged(
  changes: Readonly<Record<string, readonly [RegExp, string]>>,
): Promise<BuiltProgram> {
  using cleanup = new DisposableStack();
  const folder = cleanup.use(tempDir());
  const sources = SOURCES.map((name) => `${ROOT}/${name}`);
  await succeed(["cp", "-r", ...sources, folder.path]);
  for (const [file, [pattern, text]] of Object.entries(changes)) {
    const before = Deno.readTextFileSync(folder.file(file));
    const after = before.replace(pattern, text);
    if (after === before) throw new Error(`${file} has no ${pattern}`);
    Deno.writeTextFileSync(folder.file(file), after);
  }
  const path = folder.file("multibinder");
  await succeed(["bash", folder.file("scripts/build.sh"), path]);
  const resources = cleanup.move();
  return { path, [Symbol.dispose]: () => resources.dispose() };
}

/** Runs what may take as long as it likes, such as a build. */
async function succeed([program, ...args]: [string, ...string[]]): Promise<void> {
  // The toolchain that built the program under test builds this one.
  const { success, stderr } = await new Deno.Command(program, { args }).output();
  if (!success) {
    throw new Error(`${program} ${args.join(" ")}:\n${new TextDecoder().decode(stderr)}`);
  }
}
