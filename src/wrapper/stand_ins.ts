/**
 * The sockets for a check. A check must not depend on what is free: a deploy script checks a config beside
 * the server that serves it, on another machine, or as another user. HAProxy's own check binds nothing.
 *
 * So a check gets the sockets that a binder holds, and for every other address a stand-in: a listening
 * socket of the right kind, at an address that the kernel chooses.
 * @module
 */

import { AF_INET, AF_INET6, AF_UNIX, SOCK_DGRAM, SOCK_STREAM } from "../../ffi/constants.ts";
import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import type { Poller } from "../../ffi/poll.ts";
import type { SocketAddress } from "../../ffi/sockaddr.ts";
import { bindSocket, createSocket, listenSocket } from "../../ffi/socket.ts";
import { ControlClient, DEFAULT_SOCK } from "../control/client.ts";
import { isAbsent } from "../control/client_errors.ts";
import { PEERS } from "../control/expected_peer.ts";
import type { BindParam } from "../control/messages.ts";
import { messageOf, UserError } from "../errors.ts";
import type { Log } from "../log.ts";
import { formatAddress, numericAddress } from "../sockets/address.ts";
import type { WrapperOptions } from "./options.ts";

/**
 * Gets the sockets for a check.
 * @returns one a param, in their order; the caller's
 * @throws {UserError} for an address that is malformed
 */
export async function socketsForCheck(
  params: readonly BindParam[],
  options: Pick<WrapperOptions, "sock" | "binderUid">,
  poller: Poller,
  log: Log,
): Promise<Fd[]> {
  const held = await heldSockets(params, options, poller, log);
  const fds = params.map((param) => held.get(textOf(param) ?? "")?.duplicate() ?? standIn(param));
  held.forEach((fd) => fd.close());
  return fds;
}

/** The sockets that a binder holds for some addresses. Without a binder the check goes on. */
async function heldSockets(
  params: readonly BindParam[],
  { sock, binderUid }: Pick<WrapperOptions, "sock" | "binderUid">,
  poller: Poller,
  log: Log,
): Promise<Map<string, Fd>> {
  const path = sock ?? DEFAULT_SOCK;
  try {
    const peer = { ...PEERS.binder, uid: binderUid?.() };
    using client = ControlClient.connect(path, poller, undefined, peer);
    const held = addressesIn(await client.call("status", []));
    const wanted = new Map<string, BindParam>();
    for (const param of params) {
      const text = textOf(param);
      if (text !== undefined && held.has(text)) wanted.set(text, param);
    }
    const fds = await client.bind([...wanted.values()]);
    return new Map([...wanted.keys()].flatMap((text, index) => {
      const fd = fds[index];
      return fd ? [[text, fd]] : [];
    }));
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    // Without --sock it is no error that no binder runs.
    if (sock !== undefined || !isAbsent(error)) {
      log.warn("checking without the binder's sockets", { why: messageOf(error) });
    }
    return new Map();
  }
}

/** The addresses that a binder's `status` lists. */
function addressesIn(status: unknown): Set<string> {
  const { sockets } = Object(status);
  return new Set(Array.isArray(sockets) ? sockets.map((one) => String(Object(one).address)) : []);
}

/** The canonical text of an address; undefined for a host name, which a check does not look up. */
function textOf(param: BindParam): string | undefined {
  const address = numericAddress(param);
  return address && formatAddress(address);
}

/** A listening socket of the kind that an address needs, where nobody else listens. */
function standIn(param: BindParam): Fd {
  const address = numericAddress(param);
  if (address?.transport === "unix") return listening(AF_UNIX, SOCK_STREAM, randomName());
  const type = address?.transport === "udp" ? SOCK_DGRAM : SOCK_STREAM;
  if (address !== undefined && address.family !== "inet") {
    try {
      return listening(AF_INET6, type, { family: "inet6", host: "::1", port: 0, scope: 0 });
    } catch (error) {
      // There is no IPv6 here; on the machine that the config is for there may be.
      if (!(error instanceof SystemError)) throw error;
    }
  }
  return listening(AF_INET, type, { family: "inet", host: "127.0.0.1", port: 0 });
}

function randomName(): SocketAddress {
  return { family: "unix", path: `\0multibinder-check-${crypto.randomUUID()}` };
}

function listening(family: number, type: number, address: SocketAddress): Fd {
  const fd = createSocket(family, type);
  try {
    bindSocket(fd, address);
    if (type === SOCK_STREAM) listenSocket(fd, 1);
    return fd;
  } catch (error) {
    fd.close();
    throw error;
  }
}
