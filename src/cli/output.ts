/** Standard output, and standard error. */

/** Prints text, or bytes as they are. */
export function print(
  text: string | Uint8Array,
  to: { writeSync(bytes: Uint8Array): number } = Deno.stdout,
): void {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
}
