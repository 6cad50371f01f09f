/** What `mod.ts` exports. */

import type { Fd } from "../ffi/fd.ts";
import { userId } from "./control/accounts.ts";
import { formatAddress, numericAddress, resolveAddress, splitAddress } from "./sockets/address.ts";
import { expandAddresses } from "./sockets/address_list.ts";
import { DEFAULT_BACKLOG, listen as listenOn } from "./sockets/listen.ts";
import { ControlClient, DEFAULT_SOCK, NoBinderError, RefusedError } from "./control/client.ts";
import { PEERS } from "./control/peer.ts";
import { UserError } from "./errors.ts";

export { NoBinderError, RefusedError, UserError };

/** How to ask for a socket. */
export interface BindOptions {
  /** Path of the control socket; by default `MULTIBINDER_SOCK`, else /run/multibinder.sock. */
  sock?: string;
  /**
   * The user that the binder runs as, by number or name, when that is neither root nor this program's own;
   * for the default control socket `MULTIBINDER_BINDER_UID`. What anybody else listens on is not used.
   */
  binderUid?: number | string;
  /** Length of the accept queue, in connections; by default the binder's. */
  backlog?: number;
  /**
   * Whether a program that this one starts lacks the socket. By default it inherits it, as `Deno.Command`
   * does with every descriptor that is not close-on-exec: that is what the socket is for.
   */
  closeOnExec?: boolean;
}

/** A copy of a listening socket that the binder holds. Closing it leaves the binder's own open. */
export class ListeningSocket implements Disposable {
  readonly #fd: Fd;

  /** Sockets come from {@link bind}. */
  constructor(fd: Fd, /** The address as it was asked for. */ readonly address: string) {
    this.#fd = fd;
  }

  /**
   * The descriptor's number in this process, as in HAProxy's `fd@N`.
   * @throws {Error} once it was closed
   */
  get fd(): number {
    return this.#fd.number;
  }

  /** Closes this copy; a second time does nothing. */
  close(): void {
    this.#fd.close();
  }

  /** Closes this copy at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Gets the listening socket of an address from a binder, which binds it at the first request. The same
 * address gives the same socket again, to any program that may ask.
 * @param address such as `:80`, `127.0.0.1:8080`, `[::1]:80`, `[::]:80,v4v6`, `:80,mss=1400`, `unix:/run/site.sock`
 * @throws {NoBinderError} when no binder answers at the control socket, or somebody else does
 * @throws {RefusedError} when the binder does not allow the address or cannot bind it
 */
export async function bind(address: string, options: BindOptions = {}): Promise<ListeningSocket> {
  const [socket] = await bindAll([address], options);
  if (socket === undefined) throw new Error("the binder sent no socket");
  return socket;
}

/**
 * Gets the listening sockets of several addresses at once, all or none.
 * @returns one socket an address, in their order
 * @throws as {@link bind}
 */
export async function bindAll(
  addresses: readonly string[],
  options: BindOptions = {},
): Promise<ListeningSocket[]> {
  const { backlog, closeOnExec = false } = options;
  const params = addresses.map((address) => ({
    ...splitAddress(address),
    ...(backlog !== undefined && { backlog }),
  }));
  const sock = options.sock ?? (Deno.env.get("MULTIBINDER_SOCK") || DEFAULT_SOCK);
  const named = options.binderUid ??
    (options.sock === undefined ? Deno.env.get("MULTIBINDER_BINDER_UID") : undefined);
  const uid = named === undefined || named === "" ? undefined : userId(String(named));
  using client = ControlClient.connect(sock, undefined, undefined, { ...PEERS.binder, uid });
  const fds = await client.bind(params);
  return fds.map((fd, index) => {
    fd.closeOnExec = closeOnExec;
    return new ListeningSocket(fd, addresses[index] ?? "");
  });
}

/**
 * Listens on an address in this process, as a binder would: for a program that runs without one.
 * @param address as for {@link bind}
 * @throws {UserError} when the address is malformed or cannot be bound, with the reason
 */
export async function listen(
  address: string,
  options: Pick<BindOptions, "backlog" | "closeOnExec"> = {},
): Promise<ListeningSocket> {
  const parts = splitAddress(address);
  const { backlog = DEFAULT_BACKLOG, closeOnExec = false } = options;
  const { fd } = listenOn(await resolveAddress(parts), backlog, parts.options);
  fd.closeOnExec = closeOnExec;
  return new ListeningSocket(fd, address);
}

/**
 * The addresses that a text names, as multibinder reads it: several with commas between them, ranges of ports,
 * and HAProxy's prefixes. Each is written in the one way in which equal text means the same socket; a host
 * name is left as it is, since nothing is looked up. Options of the sockets are left out.
 * @param text such as `*:80,[0::1]:8001-8002`, which names `0.0.0.0:80`, `[::1]:8001` and `[::1]:8002`
 * @throws {UserError} when it is malformed, with the reason
 */
export function parseAddresses(text: string): string[] {
  return expandAddresses(text).map((one) => {
    const address = numericAddress(splitAddress(one));
    return address === undefined ? one : formatAddress(address);
  });
}
