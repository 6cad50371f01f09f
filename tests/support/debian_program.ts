/** Programs as the releases of Debian have them. */

import { dirname } from "node:path";
import { runProgram } from "./program.ts";
import { ignoreUnless } from "./users.ts";

/**
 * Finds or gets one.
 * @param name the program's, and its package's
 * @returns its path, the environment in which its name leads to it, and for `ignore` of a test whether it cannot be
 * had, with the reason shown
 */
export async function debianProgram(
  release: string,
  name: string,
): Promise<{ program: string; env: { PATH: string }; ignore: boolean }> {
  const script = new URL("../../scripts/check/debian_program.sh", import.meta.url).pathname;
  const { code, stdout, stderr } = await runProgram([script, release, name], {
    env: Deno.env.toObject(),
  });
  if (code !== 0 && code !== 3) throw new Error(stderr);
  const program = stdout.trim();
  const env = { PATH: `${dirname(program)}:${Deno.env.get("PATH")}` };
  return { program, env, ignore: ignoreUnless(code === 0, stderr.trim()) };
}
