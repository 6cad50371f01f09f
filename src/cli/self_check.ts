/** `multibinder self-check`, hidden: proves to a running multibinder that this binary can succeed it. */

import { type BinderState, parseState } from "../binder/state.ts";
import { parseWrapperState, type WrapperState } from "../wrapper/state.ts";
import { EXIT, UserError } from "../errors.ts";
import { roleOf } from "../process/state.ts";
import { selfCheck } from "../process/successor.ts";

/** What a program may have to succeed, by its role. */
type State = BinderState | WrapperState;

const PARSERS: { [Role in State["role"]]: (json: string) => State } = {
  binder: parseState,
  wrapper: parseWrapperState,
};

/** Reads the state on descriptor 3, and prints a line that a foreign program would not. */
export async function run(): Promise<number> {
  const line = await selfCheck(understand);
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
  return EXIT.ok;
}

/** @throws {UserError} when it is not the state of a program that this one can succeed */
export function understand(json: string): State {
  const role = roleOf(json);
  if (role === "binder" || role === "wrapper") return PARSERS[role](json);
  throw new UserError(`no state of a binder or a wrapper: its role is ${JSON.stringify(role)}`);
}
