/**
 * `multibinder latch`, hidden: a process that waits to be killed.
 *
 * HAProxy has no way to say that it is up, but for one: it sends SIGUSR1 to the pids after `-sf`, once
 * everything is bound. A latch is such a pid; its death by that signal is the news.
 */

import { EXIT } from "../errors.ts";

/** Waits until standard input ends: the wrapper holds its other end, so no latch outlives it. */
export function run(): number {
  Deno.stdin.readSync(new Uint8Array(1));
  return EXIT.ok;
}
