/** `multibinder self-check`, hidden: proves to a running multibinder that this binary can succeed it. */

import { parseState } from "../binder/state.ts";
import { parseWrapperState } from "../wrapper/state.ts";
import { EXIT } from "../errors.ts";
import { selfCheck } from "../process/successor.ts";

/** Reads the state on descriptor 3, and prints a line that a foreign program would not. */
export function run(): number {
  const line = selfCheck((state) => {
    if (state.includes('"role":"wrapper"')) parseWrapperState(state);
    else parseState(state);
  });
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
  return EXIT.ok;
}
