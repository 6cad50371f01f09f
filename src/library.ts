/** What `mod.ts` exports. */

import type { Fd } from "../ffi/fd.ts";
import { userId } from "./accounts.ts";
import {
  type Address,
  formatAddress,
  type InternetAddress,
  numericAddress,
  resolveAddress,
  splitAddress,
  type UnixAddress,
} from "./sockets/address.ts";
import { expandAddresses } from "./sockets/address_list.ts";
import { DEFAULT_BACKLOG, listen as listenOn } from "./sockets/listen.ts";
import { ControlClient, DEFAULT_SOCK } from "./control/client.ts";
import { NoBinderError, RefusedError } from "./control/client_errors.ts";
import { PEERS } from "./control/expected_peer.ts";
import { UserError } from "./errors.ts";

export { type Address, formatAddress, type InternetAddress, NoBinderError };
export { RefusedError, type UnixAddress, UserError };

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
   * Whether the programs that this one starts do not get the socket. By default they inherit it, as
   * `Deno.Command` lets them inherit every descriptor that is not close-on-exec: that is what the socket is for.
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

/** How to reach a binder. */
export type ConnectOptions = Pick<BindOptions, "sock" | "binderUid">;
/** What is asked of a socket. */
export type SocketOptions = Pick<BindOptions, "backlog" | "closeOnExec">;

/**
 * A connection to a binder, for several requests. The binder closes it when it makes none for a minute.
 *
 * @example Sockets that come and go
 * ```ts
 * import { Binder } from "@multibinder/multibinder";
 *
 * using binder = Binder.connect();
 * const socket = await binder.bind("127.0.0.1:8000");
 * const [web, tls] = await binder.bindAll(["127.0.0.1:8001", "127.0.0.1:8002"], { backlog: 4096 });
 * console.log(socket.fd, web?.fd, tls?.fd);
 * socket.close(); // the binder keeps its own
 * console.log(await binder.unbind("127.0.0.1:8000")); // [ "127.0.0.1:8000" ]
 * ```
 */
export class Binder implements Disposable {
  readonly #client: ControlClient;

  private constructor(client: ControlClient) {
    this.#client = client;
  }

  /** Connects. @throws {NoBinderError} when nobody listens at the control socket */
  static connect(options: ConnectOptions = {}): Binder {
    const sock = options.sock ?? (Deno.env.get("MULTIBINDER_SOCK") || DEFAULT_SOCK);
    const named = options.binderUid ??
      (options.sock === undefined ? Deno.env.get("MULTIBINDER_BINDER_UID") : undefined);
    const uid = named === undefined || named === "" ? undefined : userId(String(named));
    return new Binder(ControlClient.connect(sock, undefined, undefined, { ...PEERS.binder, uid }));
  }

  /** As the function {@link bind}. */
  async bind(address: string, options: SocketOptions = {}): Promise<ListeningSocket> {
    const [socket] = await this.bindAll([address], options);
    if (socket === undefined) throw new Error("the binder sent no socket");
    return socket;
  }

  /** As the function {@link bindAll}. */
  async bindAll(
    addresses: readonly string[],
    { backlog, closeOnExec = false }: SocketOptions = {},
  ): Promise<ListeningSocket[]> {
    const params = addresses.map((address) => ({
      ...splitAddress(address),
      ...(backlog !== undefined && { backlog }),
    }));
    const fds = await this.#client.bind(params);
    return fds.map((fd, index) => {
      fd.closeOnExec = closeOnExec;
      return new ListeningSocket(fd, addresses[index] ?? "");
    });
  }

  /**
   * Has the binder give sockets up, all or none; whoever has a copy goes on accepting.
   * @returns their addresses, each written in the one way
   * @throws {RefusedError} to all but root and the binder's user; for one that is not held, or that its command
   *   line or a connected wrapper names
   */
  async unbind(...addresses: string[]): Promise<string[]> {
    const result = await this.#client.call("unbind", addresses.map(splitAddress));
    return Array.isArray(result) ? result.map(String) : [];
  }

  /** Closes the connection. */
  close(): void {
    this.#client.close();
  }

  /** Closes the connection at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Gets the listening socket of an address from a binder, which binds it at the first request. The same
 * address gives the same socket again, to any program that may ask.
 *
 * @example A program that inherits it
 * ```ts
 * import { bind } from "@multibinder/multibinder";
 *
 * using socket = await bind("127.0.0.1:8003");
 * const program = `
 * import socket, sys
 * print(socket.socket(fileno=int(sys.argv[1])).getsockname())
 * `;
 * await new Deno.Command("python3", { args: ["-c", program, `${socket.fd}`] }).spawn().status;
 * ```
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
 *
 * @example Two sockets
 * ```ts
 * import { bindAll } from "@multibinder/multibinder";
 *
 * const sockets = await bindAll(["127.0.0.1:8004", "127.0.0.1:8005"]);
 * for (const socket of sockets) socket.close();
 * ```
 * @returns one socket an address, in their order
 * @throws as {@link bind}
 */
export async function bindAll(
  addresses: readonly string[],
  options: BindOptions = {},
): Promise<ListeningSocket[]> {
  using binder = Binder.connect(options);
  return await binder.bindAll(addresses, options);
}

/**
 * Listens on an address in this process, as a binder would: for a program that runs without one.
 *
 * @example With a binder or without
 * ```ts
 * import { bind, listen, NoBinderError } from "@multibinder/multibinder";
 *
 * const address = "127.0.0.1:8006";
 * using socket = await bind(address, { sock: "/nowhere" }).catch((error) => {
 *   if (error instanceof NoBinderError) return listen(address);
 *   throw error;
 * });
 * console.log(socket.fd);
 * ```
 * @param address as for {@link bind}
 * @throws {UserError} when the address is malformed or cannot be bound, with the reason
 */
export async function listen(
  address: string,
  options: SocketOptions = {},
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
 *
 * @example Several in one text
 * ```ts
 * import { parseAddresses } from "@multibinder/multibinder";
 *
 * console.log(parseAddresses("*:80,[0::1]:8001-8002")); // [ "0.0.0.0:80", "[::1]:8001", "[::1]:8002" ]
 * ```
 * @param text such as `*:80,[0::1]:8001-8002`, which names `0.0.0.0:80`, `[::1]:8001` and `[::1]:8002`
 * @throws {UserError} when it is malformed, with the reason
 */
export function parseAddresses(text: string): string[] {
  return expandAddresses(text).map((one) => {
    const address = numericAddress(splitAddress(one));
    return address === undefined ? one : formatAddress(address);
  });
}

/**
 * The parts of an address.
 *
 * @example An address with another port
 * ```ts
 * import { formatAddress, parseAddress } from "@multibinder/multibinder";
 *
 * const address = parseAddress("*:80");
 * if (address.transport === "tcp") console.log(formatAddress({ ...address, port: 8080 })); // 0.0.0.0:8080
 * ```
 * @throws {UserError} when it is malformed, or a host name, since nothing is looked up
 */
export function parseAddress(text: string): Address {
  const address = numericAddress(splitAddress(text));
  if (address !== undefined) return address;
  throw new UserError(`${text}: it has a host name, which nobody has looked up`);
}
