/** Standard output, and standard error. */

import { escapeControls } from "../escape.ts";

/** Prints text, or bytes as they are. */
export function print(
  text: string | Uint8Array,
  to: { writeSync(bytes: Uint8Array): number } = Deno.stdout,
): void {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
}

/** Prints a value as JSON, with escapes for what would control a terminal. @param indent of each level */
export function printJson(value: unknown, indent?: number): void {
  print(JSON.stringify(value, null, indent).split("\n").map(escapeControls).join("\n") + "\n");
}
