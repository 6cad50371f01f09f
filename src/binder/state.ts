/** What a binder hands to its successor. */

import { formatAddress } from "../sockets/address.ts";
import type { Address } from "../sockets/address.ts";
import { UserError } from "../errors.ts";
import { type ConnectionState, parseConnection } from "../control/connection_state.ts";
import type { FileId } from "../sockets/unix_path.ts";
import type { Rules } from "./options.ts";

/** The format's version. A binder reads its own and every older one. */
export const STATE_VERSION = 1;

/** The state, as JSON. Numbers named `fd` are descriptors that stay open across the exec. */
export interface BinderState {
  role: "binder";
  version: number;
  control: { fd: number; path: string; file: FileId };
  held: { address: Address; fd: number; backlog: number; file?: FileId }[];
  /** The command line's addresses as written, and what they became (port 0 has become another). */
  own: Record<string, string>;
  /** Addresses that units of systemd have configured; absent before there was support for them. */
  configured?: string[];
  /** What the command line's names mean; absent before it was handed over. */
  rules?: Rules;
  clients: ConnectionState[];
  counters: { connections: number; requests: number; errors: number };
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
export function parseState(text: string): BinderState {
  let state: BinderState;
  try {
    state = JSON.parse(text);
    if (state.role !== "binder") throw new Error(`a ${state.role}'s state`);
    if (!(state.version <= STATE_VERSION)) {
      throw new Error(`format ${state.version}, and this program knows up to ${STATE_VERSION}`);
    }
    state.held.forEach(({ address }) => formatAddress(address));
    state.clients.forEach(parseConnection);
  } catch (error) {
    throw new UserError(`cannot read the state of the binder before: ${String(error)}`);
  }
  return state;
}
