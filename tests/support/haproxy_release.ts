/** HAProxy as the releases of Debian have it. */

import { runProgram } from "./program.ts";
import { ignoreUnless } from "./users.ts";

/**
 * Finds or gets one.
 * @returns its path, and for `ignore` of a test whether it cannot be had, with the reason shown
 */
export async function haproxyOf(release: string): Promise<{ program: string; ignore: boolean }> {
  const script = new URL("../../scripts/check/haproxy.sh", import.meta.url).pathname;
  const env = Deno.env.toObject();
  const { code, stdout, stderr } = await runProgram([script, release], { env });
  if (code !== 0 && code !== 3) throw new Error(stderr);
  return { program: stdout.trim(), ignore: ignoreUnless(code === 0, stderr.trim()) };
}
