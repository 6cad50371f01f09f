/** A connection in the state that a program hands to its successor. */

import { Fd } from "../../ffi/fd.ts";
import type { RequestId } from "./messages.ts";
import type { HandedConnection } from "./server.ts";

/** As {@link HandedConnection}, in JSON: `fd` is a number, `pending` is in base64. */
export interface ConnectionState {
  fd: number;
  pending: string;
  holds?: readonly string[];
  owed?: RequestId;
}

/** To JSON. */
export function connectionState({ fd, pending, ...rest }: HandedConnection): ConnectionState {
  let binary = "";
  for (const byte of pending) binary += String.fromCharCode(byte);
  return { ...rest, fd: fd.number, pending: btoa(binary) };
}

/** From JSON; the descriptor is not touched yet. @throws {Error} when it is malformed */
export function parseConnection({ fd, pending, ...rest }: ConnectionState): HandedConnection {
  const bytes = Uint8Array.from(atob(pending), (character) => character.charCodeAt(0));
  return { ...rest, fd: new Fd(fd), pending: bytes };
}
