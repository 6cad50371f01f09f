/** What a wrapper hands to its successor. */

import { UserError } from "../errors.ts";
import { type ConnectionState, parseConnection } from "../control/connection_state.ts";
import type { BindParam } from "../control/messages.ts";
import type { FileId } from "../sockets/unix_path.ts";
import type { ReloadOutcome } from "./reloads.ts";
import type { SupervisorSnapshot } from "./generation.ts";

/** The format's version. A wrapper reads its own and every older one. */
export const WRAPPER_STATE_VERSION = 1;

/** The state, as JSON. Numbers named `fd` are descriptors that stay open across the exec. */
export interface WrapperState {
  role: "wrapper";
  version: number;
  generations: SupervisorSnapshot;
  sockets: { param: BindParam; fd: number }[];
  /** The control socket of the binder that they come from, null for none. Older programs did not say. */
  binder?: string | null;
  control: { fd: number; path: string; file: FileId } | null;
  clients: ConnectionState[];
  lastReload: ReloadOutcome | null;
  upgrades: number;
  /** When the first of these programs was started, in milliseconds since 1970. */
  started: number;
  /** The version that hands over. */
  from: string;
}

/**
 * Reads a state.
 * @throws {UserError} when it is not one, or newer than this program
 */
export function parseWrapperState(text: string): WrapperState {
  try {
    const state: WrapperState = JSON.parse(text);
    if (state.role !== "wrapper") throw new Error(`a ${state.role}'s state`);
    if (!(state.version <= WRAPPER_STATE_VERSION)) {
      const known = `this program knows up to ${WRAPPER_STATE_VERSION}`;
      throw new Error(`format ${state.version}, and ${known}`);
    }
    state.clients.forEach(parseConnection);
    return state;
  } catch (error) {
    throw new UserError(`cannot read the state of the wrapper before: ${String(error)}`);
  }
}
