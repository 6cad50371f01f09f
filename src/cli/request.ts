/** What the subcommands that talk to a running multibinder have in common. */

import { ControlClient } from "../control/client.ts";
import { PEERS } from "../control/peer.ts";
import type { Subcommand } from "./subcommand.ts";

/**
 * Makes one request over the control socket.
 * @param path of the control socket
 * @param subcommand says whom it talks to
 * @param timeout milliseconds that the answer may take
 * @returns its result
 * @throws {NoBinderError} when nobody answers, or not in time
 * @throws {RefusedError} when it is answered with an error
 */
export async function request(
  { talksTo }: Pick<Subcommand, "talksTo">,
  path: string,
  method: string,
  timeout?: number,
  params: unknown = [],
): Promise<unknown> {
  const peer = talksTo === "nobody" ? undefined : PEERS[talksTo];
  using client = ControlClient.connect(path, undefined, timeout, peer);
  return await client.call(method, params);
}
