/** Programs as the releases of Debian have them. */

import { runProgram } from "./program.ts";
import { ignoreUnless } from "./users.ts";

/**
 * Finds or gets one.
 * @param name the program's, and its package's
 * @returns its path, and for `ignore` of a test whether it cannot be had, with the reason shown
 */
export async function debianProgram(
  release: string,
  name: string,
): Promise<{ program: string; ignore: boolean }> {
  const script = new URL("../../scripts/check/debian_program.sh", import.meta.url).pathname;
  const env = Deno.env.toObject();
  const { code, stdout, stderr } = await runProgram([script, release, name], { env });
  if (code !== 0 && code !== 3) throw new Error(stderr);
  return { program: stdout.trim(), ignore: ignoreUnless(code === 0, stderr.trim()) };
}
