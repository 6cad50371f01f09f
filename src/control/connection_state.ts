/** A connection in the state that a program hands to its successor. */

import { Fd } from "../../ffi/fd.ts";
import type { RequestId } from "./messages.ts";
import type { HandedConnection } from "./clients.ts";
import type { WrapperReport } from "./reports.ts";

/** As {@link HandedConnection}, in JSON: `fd` is a number, `pending` is in base64. */
export interface ConnectionState {
  fd: number;
  pending: string;
  holds?: readonly string[];
  about?: WrapperReport;
  owed?: RequestId;
}

/** Arguments of one call: they are put on the stack. */
const CHUNK = 8192;

/** To JSON. */
export function connectionState({ fd, pending, ...rest }: HandedConnection): ConnectionState {
  let binary = "";
  for (let at = 0; at < pending.length; at += CHUNK) {
    binary += String.fromCharCode(...pending.subarray(at, at + CHUNK));
  }
  return { ...rest, fd: fd.number, pending: btoa(binary) };
}

/** From JSON; the descriptor is not touched yet. @throws {Error} when it is malformed */
export function parseConnection({ fd, pending, ...rest }: ConnectionState): HandedConnection {
  const binary = atob(pending);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at);
  return { ...rest, fd: new Fd(fd), pending: bytes };
}
