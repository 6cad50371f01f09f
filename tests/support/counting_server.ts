/** A server that is a shell script, and counts its starts. */

import type { TempDir } from "./temp_dir.ts";

/** Writes one. @param what it does at each start @returns its path, and how often it has been started */
export function countingServer(
  folder: TempDir,
  what: string,
): { path: string; starts: () => number } {
  const [path, count] = [folder.file("server.sh"), folder.file("starts")];
  const script = `#!/bin/sh\necho start >>${count}\n${what}\n`;
  Deno.writeTextFileSync(path, script, { mode: 0o755 });
  return { path, starts: () => Deno.readTextFileSync(count).split("\n").length - 1 };
}
