/** The answers to clients that are not served, or no longer. */

import { FramingError } from "./framing.ts";
import { UninvitedFds } from "./channel.ts";
import type { Peer } from "./handler.ts";
import { parseRequest, type RequestId, RPC, RpcError } from "./messages.ts";

/** The answer to the first request of a peer that is not served. */
export function denial(text: string, { uid, gid }: Peer): object {
  const message = `Not permitted: uid ${uid}, gid ${gid} may not use this control socket; ` +
    "a wrapper lets in root and its own user, a binder also those whom --allow-uid and --allow-gid name";
  const error = { code: RPC.notPermitted, message, data: { code: "EPERM" } };
  return { id: idOf(text), error };
}

/** The refusal of a request that would take more than its user's share. */
export function lacking(what: string, { uid }: Peer, code: string): RpcError {
  const why = `too much waits for clients of uid ${uid}: ${what}; ` +
    "it is served again when they have read their answers, or are gone";
  return new RpcError(RPC.failed, why, { code });
}

/** How the log calls an error that a client is at fault for. */
export function complaintAbout(error: unknown): string {
  if (error instanceof FramingError) return "garbage on the control socket";
  return error instanceof RpcError ? "refused a request" : "refused descriptors";
}

/** The last answer before a client's connection is closed; undefined for an error that is no fault of its own. */
export function lastAnswer(error: unknown, { uid }: Peer): object | undefined {
  if (error instanceof FramingError) {
    return { id: null, error: { code: RPC.parseError, message: `Parse error: ${error.message}` } };
  }
  if (error instanceof RpcError) return { id: null, error: error.body };
  if (!(error instanceof UninvitedFds)) return undefined;
  const message = `Not permitted: uid ${uid} may not send ${error.what}`;
  return {
    id: idOf(error.text),
    error: { code: RPC.notPermitted, message, data: { code: "EPERM" } },
  };
}

/** The id of what may be no request at all. */
function idOf(text: string): RequestId {
  try {
    return parseRequest(text).id;
  } catch {
    return null;
  }
}
