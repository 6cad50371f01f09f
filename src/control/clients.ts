/** The clients of a control socket: who is connected, who makes room for others, and who is handed over. */

import type { Fd } from "../../ffi/fd.ts";
import type { User } from "./budget.ts";
import type { Channel } from "./channel.ts";
import type { Caller, Peer } from "./handler.ts";
import { type RequestId, RPC, RpcError } from "./messages.ts";
import type { Repeats } from "./repeats.ts";
import type { AttachedWrapper, WrapperReport } from "./reports.ts";

/** Bytes of unfinished requests that are handed over in all: nobody else is served while they are written. */
const MAX_HANDED = 8 * 1024 * 1024;

/** Attached connections that a user who is not trusted may have: neither silence nor other clients end one. */
const MAX_ATTACHED = 64;

/** A connection, as it is handed to a succeeding program. */
export interface HandedConnection {
  fd: Fd;
  /** What had arrived of a request. */
  pending: Uint8Array<ArrayBuffer>;
  /** Of an attached client. */
  holds?: readonly string[];
  about?: WrapperReport;
  /** Id of a request whose answer the successor owes. */
  owed?: RequestId;
}

/** A client that is connected. */
export interface Client {
  channel: Channel;
  peer: Peer;
  /** Between a request and its answer. */
  busy: boolean;
  /** Whether its answer is being sent, and waits for nothing but the client. */
  answered: boolean;
  /** Whether its requests are handled; each is refused otherwise. */
  served: boolean;
  /** The user whose share of everything it takes from. */
  user: User;
  /** Whether it has made a request yet. */
  hasAsked?: boolean;
  /** Bytes that are kept of its request and of the answer. */
  kept: number;
  /** Descriptors that came with a request which is not complete. */
  keptFds: number;
  /** Names it to those who ask who is attached. */
  id: number;
  holds?: readonly string[];
  about?: WrapperReport;
  owed?: RequestId | undefined;
}

/** What others see of an attached client: the addresses whose sockets it has, and what it has reported. */
export interface AttachedClient extends AttachedWrapper {
  holds: readonly string[];
}

/** The clients that are connected. */
export class Clients {
  /** In the order of their last request: the first is the longest silent. */
  readonly #all = new Set<Client>();
  /** How many connections and requests there have been, and how many of these were answered with an error. */
  readonly counters = { connections: 0, requests: 0, errors: 0 };
  /** Resolved once no request is being answered any more. */
  #answered: PromiseWithResolvers<void> | undefined;

  [Symbol.iterator](): Iterator<Client> {
    return this.#all.values();
  }

  /** How many there are. */
  get size(): number {
    return this.#all.size;
  }

  /** The attached ones. */
  get attached(): AttachedClient[] {
    return [...this.#all].flatMap(({ id, peer, holds, about }) =>
      holds ? [{ id, pid: peer.pid, uid: peer.uid, holds, report: about ?? null }] : []
    );
  }

  /**
   * Lets a client stay connected for as long as it wants.
   * @throws {RpcError} when its user has too many such connections
   */
  attach(client: Client, holds: readonly string[]): void {
    const { trusted, uid } = client.user;
    const isOne = ({ holds, user }: Client) => holds !== undefined && user.uid === uid;
    if (!trusted && !client.holds && [...this.#all].filter(isOne).length >= MAX_ATTACHED) {
      const why = `uid ${uid} has ${MAX_ATTACHED} connections already that stay (EAGAIN)`;
      throw new RpcError(RPC.failed, why, { code: "EAGAIN" });
    }
    client.holds = holds;
  }

  /** Makes a client the last one to have asked; adds one that is new. */
  touch(client: Client): void {
    this.#all.delete(client);
    this.#all.add(client);
  }

  /** Forgets a client that is gone. */
  remove(client: Client): void {
    this.#all.delete(client);
    this.tellAnswered();
  }

  /** The end of the requests under way, those aside that a successor answers; undefined when there are none. */
  get underWay(): Promise<void> | undefined {
    if (!this.#isAnswering) return undefined;
    this.#answered ??= Promise.withResolvers();
    return this.#answered.promise;
  }

  get #isAnswering(): boolean {
    return [...this.#all].some(({ busy, owed }) => busy && owed === undefined);
  }

  /** Says that a request has been answered. */
  tellAnswered(): void {
    if (!this.#answered || this.#isAnswering) return;
    this.#answered.resolve();
    this.#answered = undefined;
  }

  /**
   * The connections that a successor gets. One between request and answer cannot be handed over, nor one whose
   * unfinished request came with descriptors; nor can all, if their unfinished requests are too long together.
   */
  handedOver(): HandedConnection[] {
    const candidates = [...this.#all]
      .filter(({ busy, channel, owed }) => owed !== undefined || !busy && !channel.holdsFds);
    const kept = withRoom(candidates);
    return candidates.filter((client) => kept.has(client))
      .map(({ channel, holds, about, owed }) => ({
        fd: channel.fd,
        pending: channel.pending,
        ...(holds && { holds }),
        ...(about && { about }),
        ...(owed !== undefined && { owed }),
      }));
  }

  /**
   * Takes out the client that has to make room for another one. It is of the user with the most clients, so that
   * no user's crowd costs another user a connection: an idle one, or, if that user is not trusted, one that is busy.
   */
  removeIdlest(): Client | undefined {
    const mayGo = [...this.#all].filter(({ answered, busy, holds, user }) =>
      !holds && (!busy || answered || !user.trusted)
    );
    const crowds = Map.groupBy(mayGo, ({ user }) => user.uid);
    const [largest = []] = [...crowds.values()].sort((a, b) => b.length - a.length);
    const client = largest.find(({ answered, busy }) => !busy || answered) ?? largest[0];
    // At once: its own task removes it only later, and others may come before.
    if (client) this.#all.delete(client);
    return client;
  }
}

/** The clients whose unfinished requests fit into what is handed over; the trusted first, then the short. */
function withRoom(clients: readonly Client[]): Set<Client> {
  let room = MAX_HANDED;
  const kept = new Set<Client>();
  const first = (a: Client, b: Client) =>
    Number(b.user.trusted) - Number(a.user.trusted) ||
    a.channel.pending.length - b.channel.pending.length;
  for (const client of clients.toSorted(first)) {
    const { length } = client.channel.pending;
    if (length > room) continue;
    room -= length;
    kept.add(client);
  }
  return kept;
}

/**
 * A client, as a handler sees it.
 * @param id of its request
 * @param all those connected
 * @param repeats writes complaints about it into the log
 */
export function callerOf(
  client: Client,
  id: RequestId,
  all: Clients,
  repeats: Pick<Repeats, "warn">,
): Caller {
  return {
    peer: client.peer,
    takeFds: () => client.channel.takeFds(),
    attach: (holds) => all.attach(client, holds),
    note: (about) => {
      if (client.holds) client.about = about;
      return client.holds !== undefined;
    },
    complain: (message, fields) => repeats.warn(message, { ...fields, uid: client.peer.uid }),
    oweAnswer: () => client.owed = id,
  };
}
