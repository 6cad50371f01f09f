/** HTTP clients that tell exactly how each request ended. */

import { until } from "./process_status.ts";
import { loopbackHost } from "./temp_dir.ts";

/** How long a request may take before it counts as failed, in milliseconds. */
const PATIENCE = 10_000;
/** How long a client of a load rests between two requests unless it is told otherwise, in milliseconds. */
const PAUSE = 10;

export interface Target {
  hostname: string;
  port: number;
}

/** A place as a command line has it. */
export function addressOf({ hostname, port }: Target): string {
  return `${hostname}:${port}`;
}

/**
 * A place to listen at that no other test has. Such a port is above those of outgoing connections, and
 * hardly anything listens there on all addresses.
 */
export function newTarget(): Target {
  return { hostname: loopbackHost(), port: 61_080 };
}

export interface Reply {
  status: number;
  body: string;
  /** Whether the server says that it closes the connection after this reply. */
  closes: boolean;
}

/** One connection, for one request after the other. */
export class HttpConnection implements Disposable {
  readonly #decoder = new TextDecoder();
  #received = "";
  #timedOut = false;

  private constructor(readonly connection: Deno.TcpConn) {}

  /** Connects, as long as that may take: a first packet that is dropped would be sent again for minutes. */
  static async open(target: Target): Promise<HttpConnection> {
    const late = new AbortController();
    const why = new Error(`no connection in ${PATIENCE} ms`);
    const deadline = setTimeout(() => late.abort(why), PATIENCE);
    try {
      return new HttpConnection(await Deno.connect({ ...target, signal: late.signal }));
    } finally {
      clearTimeout(deadline);
    }
  }

  /** Whether not a byte of the next reply has come, and the time for it is not over. */
  get awaiting(): boolean {
    return this.#received === "" && !this.#timedOut;
  }

  /** Sends a request. */
  async send(path = "/", headers: readonly string[] = []): Promise<void> {
    const lines = [`GET ${path} HTTP/1.1`, "Host: test", ...headers, "", ""];
    let bytes = new TextEncoder().encode(lines.join("\r\n"));
    while (bytes.length > 0) bytes = bytes.subarray(await this.connection.write(bytes));
  }

  /** The reply to the oldest request without one; rejects unless it comes whole. */
  async receive(): Promise<Reply> {
    const deadline = setTimeout(() => {
      this.#timedOut = true;
      this[Symbol.dispose]();
    }, PATIENCE);
    try {
      const head = await this.#take(() => {
        const end = this.#received.indexOf("\r\n\r\n");
        return end < 0 ? undefined : end + 4;
      });
      const length = Number(/^content-length: (\d+)\r$/im.exec(head)?.[1]);
      const body = await this.#take(() => this.#received.length < length ? undefined : length);
      const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1]);
      return { status, body, closes: /^connection: close\r$/im.test(head) };
    } finally {
      clearTimeout(deadline);
    }
  }

  /** Takes what has been received up to the end that `find` finds, once it does. */
  async #take(find: () => number | undefined): Promise<string> {
    for (;;) {
      const end = find();
      if (end !== undefined) {
        const taken = this.#received.slice(0, end);
        this.#received = this.#received.slice(end);
        return taken;
      }
      const chunk = new Uint8Array(4096);
      const size = await this.connection.read(chunk).catch((error) => {
        throw this.#timedOut ? new Error(`no whole reply in ${PATIENCE} ms`) : error;
      });
      if (size === null) throw new Error(`closed after ${JSON.stringify(this.#received)}`);
      this.#received += this.#decoder.decode(chunk.subarray(0, size), { stream: true });
    }
  }

  [Symbol.dispose](): void {
    try {
      this.connection.close();
    } catch {
      // Closed already, at the deadline.
    }
  }
}

/** The body of the reply to one request on a connection of its own; rejects unless it is a 200. */
export async function get(target: Target, path = "/"): Promise<string> {
  using connection = await HttpConnection.open(target);
  await connection.send(path, ["Connection: close"]);
  return bodyOf(await connection.receive());
}

/** The body of a reply, which must be a 200. */
export function bodyOf({ status, body }: Reply): string {
  if (status !== 200) throw new Error(`status ${status}: ${body}`);
  return body;
}

/** How the requests of a load ended. */
export interface Outcome {
  /** Whole replies with status 200, by their bodies. */
  replies: Map<string, number>;
  /** Sum of the replies. */
  ok: number;
  /** Requests sent again, as {@link LoadOptions.repeat} has it; how those ended counts as well. */
  repeated: number;
  /** Why each other request failed. */
  failures: string[];
}

export interface LoadOptions {
  /** Requests under way at once. */
  workers: number;
  /**
   * Milliseconds between two requests of a worker: by default so many that what is under test has the processors
   * for itself; 0 where as many requests as can be shall meet a moment.
   */
  pause?: number;
  /** Keeps a connection until the server announces its end. */
  keepAlive?: boolean;
  /**
   * Sends a request again when its connection, used before, ends without a byte of a reply, as clients
   * do (RFC 9112, section 9.3.1). Otherwise such a request has failed.
   */
  repeat?: boolean;
}

/** Requests, one after the other from each of several workers, until the load is stopped. */
export class Load implements AsyncDisposable {
  readonly outcome: Outcome = { replies: new Map(), ok: 0, repeated: 0, failures: [] };
  readonly #workers: Promise<void>[];
  #stopped = false;

  constructor(readonly target: Target, readonly options: LoadOptions) {
    this.#workers = Array.from({ length: options.workers }, async () => {
      let owed = false;
      while (owed || !this.#stopped) {
        owed = await this.#connect();
        await this.#rest();
      }
    });
  }

  /** Waits until so many more requests have had a reply. */
  async more(reply: string, count = 50): Promise<void> {
    const replies = () => this.outcome.replies.get(reply) ?? 0;
    const before = replies();
    await until(() => replies() >= before + count);
  }

  /** Lets the requests under way end, and tells how all of them did. */
  async stop(): Promise<Outcome> {
    this.#stopped = true;
    await Promise.all(this.#workers);
    return this.outcome;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** Uses one connection to its end. @returns whether its last request is to be repeated */
  async #connect(): Promise<boolean> {
    const { keepAlive = false, repeat = false } = this.options;
    try {
      using connection = await HttpConnection.open(this.target);
      for (let used = false; !used || !this.#stopped; used = true) {
        try {
          await connection.send("/", keepAlive ? [] : ["Connection: close"]);
          const reply = await connection.receive();
          this.#count(bodyOf(reply));
          if (reply.closes || !keepAlive) return false;
          await this.#rest();
        } catch (error) {
          if (!repeat || !used || !connection.awaiting) throw error;
          this.outcome.repeated++;
          return true;
        }
      }
    } catch (error) {
      this.outcome.failures.push(String(error));
    }
    return false;
  }

  async #rest(): Promise<void> {
    const { pause = PAUSE } = this.options;
    if (pause > 0 && !this.#stopped) {
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  #count(body: string): void {
    this.outcome.replies.set(body, (this.outcome.replies.get(body) ?? 0) + 1);
    this.outcome.ok++;
  }
}
