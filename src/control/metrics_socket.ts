/**
 * A socket for scrapers of metrics: read-only, off unless it is asked for, and bounded in connections, in the
 * size and time of a request, and in how often metrics are read.
 */

import { discard, discardNow } from "../../ffi/discard.ts";
import { Fd } from "../../ffi/fd.ts";
import type { Poller } from "../../ffi/poll.ts";
import { messageOf, UserError } from "../errors.ts";
import type { Log } from "../log.ts";
import { formatAddress, resolveAddress, splitAddress } from "../sockets/address.ts";
import { listen } from "../sockets/listen.ts";
import { type FileId, removeIfSame } from "../sockets/place.ts";
import { acceptAll } from "./accepting.ts";
import { CONTENT_TYPE } from "./exposition.ts";
import { answerRequest, type Content } from "./http_responder.ts";

/** Scrapers that may wait to be accepted. */
const BACKLOG = 16;
/** Connections at once; one more closes the oldest that has had its time. */
const MAX_CONNECTIONS = 16;
/** Milliseconds in which a connection makes room for no other: a scraper is answered by then. */
const OWN_TIME = 1000;
/** Milliseconds from some connections to the next: a crowd is let in no faster, and waits in the kernel. */
const PAUSE = 50;
/** Milliseconds in which all who ask get the same text: they could have this process read metrics all the time. */
const FRESH = 500;

/** What a successor needs: `fd` is a descriptor that stays open across the exec. */
export interface MetricsSocketState {
  fd: number;
  path?: string;
  file?: FileId;
}

interface Listening {
  fd: Fd;
  path?: string;
  file?: FileId;
}

/** See the module's description. */
export class MetricsSocket {
  /** The time at which each was accepted, the oldest first. */
  readonly #connections = new Map<Fd, number>();
  #listening: Listening | undefined;
  #last: Promise<Content> | undefined;

  /**
   * One that does not listen yet.
   * @param collect reads the metrics, as text in pieces
   * @param unready why clients are not to be sent here, for load balancers; undefined when they are
   */
  constructor(
    readonly poller: Poller,
    readonly log: Log,
    readonly collect: () => Promise<Content["pieces"]>,
    readonly unready?: () => string | undefined,
  ) {}

  /**
   * Listens.
   * @param written an address as for a server's socket, TCP or UNIX, with options or not
   * @throws {UserError} when it is none, or cannot be had
   */
  async open(written: string): Promise<void> {
    const parts = splitAddress(written);
    const address = await resolveAddress(parts);
    if (address.transport === "udp") {
      throw new UserError(`--metrics ${written}: metrics are read over TCP or a UNIX socket`);
    }
    const { fd, address: bound, file } = listen(address, BACKLOG, parts.options);
    this.log.info("metrics are to be read", { address: formatAddress(bound) });
    const path = address.transport === "unix" ? address.path : undefined;
    this.#serve({ fd, ...(path !== undefined && { path }), ...(file && { file }) });
  }

  /** Goes on as an earlier program's successor. */
  resume({ fd, ...rest }: MetricsSocketState): void {
    this.#serve({ ...rest, fd: Fd.inherited(fd) });
  }

  /** Its descriptor; undefined when it does not listen. */
  get fd(): Fd | undefined {
    return this.#listening?.fd;
  }

  /** What a successor needs. Scrapers that are connected are not kept: they ask again. */
  get state(): MetricsSocketState | undefined {
    return this.#listening && { ...this.#listening, fd: this.#listening.fd.number };
  }

  /** Closes the connections, which no successor gets: an execve would close them, and may wait. */
  letGo(): void {
    [...this.#connections.keys()].forEach((one) => this.#drop(one));
  }

  /** Stops listening, and removes the file of a UNIX socket. */
  close(): void {
    if (this.#listening === undefined) return;
    const { fd, path, file } = this.#listening;
    if (path !== undefined && file) removeIfSame(path, file);
    this.letGo();
    this.#listening = undefined;
    this.poller.cancel(fd);
    discard(fd);
    discardNow();
  }

  #serve(listening: Listening): void {
    this.#listening = listening;
    listening.fd.setNonBlocking();
    void acceptAll(listening.fd, this.poller, (fd) => void this.#answer(fd), (error) => {
      this.log.debug("cannot accept a scraper", { error: error.message });
      return false;
    }, { room: () => this.#room(), pause: PAUSE });
  }

  #room(): number {
    const old = performance.now() - OWN_TIME;
    const kept = [...this.#connections.values()].filter((since) => since > old).length;
    return MAX_CONNECTIONS - kept;
  }

  async #answer(fd: Fd): Promise<void> {
    const [oldest] = this.#connections.keys();
    if (oldest && this.#connections.size >= MAX_CONNECTIONS) this.#drop(oldest);
    this.#connections.set(fd, performance.now());
    try {
      await answerRequest(fd, this.poller, () => this.#content(), undefined, this.unready);
    } catch (error) {
      this.log.error("cannot tell metrics", { error: messageOf(error) });
    } finally {
      this.#drop(fd);
    }
  }

  #drop(fd: Fd): void {
    if (!this.#connections.delete(fd)) return;
    this.poller.cancel(fd);
    // Whatever a client of a UNIX socket has put into its queue is closed with it, and must not make us wait.
    if (this.#listening?.path === undefined) fd.close();
    else discard(fd);
  }

  #content(): Promise<Content> {
    return this.#last ??= this.#read().finally(() => {
      setTimeout(() => this.#last = undefined, FRESH);
    });
  }

  async #read(): Promise<Content> {
    return { type: CONTENT_TYPE, pieces: await this.collect() };
  }
}
