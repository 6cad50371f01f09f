/** Tests that run in an emulator of another processor, as scripts/check/arm64_deno.sh sets one up. */

import { ignoreUnless } from "./users.ts";

/** Options of a test that cannot pass there, for this reason. */
export function ignoreIfEmulated(reason: string): { ignore: boolean } {
  const emulated = Deno.env.has("MULTIBINDER_EMULATED");
  return { ignore: ignoreUnless(!emulated, `under qemu: ${reason}`) };
}
