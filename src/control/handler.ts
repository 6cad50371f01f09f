/** What answers the requests of a control socket, and what it is given of the client. */

import type { Fd } from "../../ffi/fd.ts";
import type { Credentials } from "../../ffi/socket.ts";
import type { Fields } from "../log.ts";
import type { Request } from "./messages.ts";
import type { WrapperReport } from "./reports.ts";

/** Who is at the other end. */
export type Peer = Credentials;

/** What a peer may do: decided once, when it is accepted. */
export interface Rights {
  /** Whether its requests are handled; each is refused otherwise. */
  served: boolean;
  /** Whether there is always room for it, whatever others take. */
  trusted: boolean;
  /** How many descriptors it may send with a request. */
  maxFds: number;
  /** Finds out whether all descriptors that wait at a connection are sockets; without it they are received unseen. */
  look?: (connection: Fd) => Promise<boolean>;
  /** Bytes of a request at most. */
  maxBytes: number;
}

/** What a request is answered with. */
export interface Reply {
  result: unknown;
  /** Sent along; they stay the handler's. */
  fds: readonly Fd[];
}

/** A client, as a handler sees it. */
export interface Caller {
  readonly peer: Peer;
  /** Takes the descriptors that came with the request; those left are closed after the answer. */
  takeFds(): Fd[];
  /**
   * Keeps the connection for as long as the client wants: neither silence nor others end it.
   * @param holds addresses whose sockets the client has
   * @throws {RpcError} when its user, who is not trusted, has too many such connections
   */
  attach(holds: readonly string[]): void;
  /**
   * Notes what an attached client reports of itself.
   * @returns false when it is not attached
   */
  note(about: WrapperReport): boolean;
  /** Warns in the log of what the client does wrong; what one user's clients repeat is summed up. */
  complain(message: string, fields: Fields): void;
  /** Leaves the answer to the program that succeeds this one. */
  oweAnswer(): void;
}

/** Answers one request, or throws an {@link RpcError}. */
export type Handler = (request: Request, caller: Caller) => Promise<Reply>;
