/**
 * The demonstration's clients: HTTP/1.1 (RFC 9112) over plain TCP, so that no client library hides a
 * refused, reset or cut-off connection by trying again.
 */

import { format } from "@std/fmt/duration";
import type { KeepAlive, Outcome, Phase } from "./report.ts";

/** Clients that open a connection for each request. */
export const NEW_CONNECTION_CLIENTS = 8;

/** Pause of each client between two requests, in milliseconds: the servers need the processor too. */
const PAUSE = 5;

/** For one request, in milliseconds. */
const DEADLINE = 5000;

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** The load on one port of this machine, from {@link Traffic.start} to {@link Traffic.stop}. */
export class Traffic {
  readonly outcomes: Outcome[] = [];
  readonly keepAlive: KeepAlive = { reconnects: 0, retries: 0 };
  /** Noted with each request that begins from now on. */
  phase: Phase = "before";
  /** When the traffic has begun, as performance.now() tells. */
  begun = 0;
  readonly #clients: Promise<void>[] = [];
  #stopped = false;

  /** @param report told each outcome as it comes */
  constructor(readonly port: number, readonly report: (outcome: Outcome) => void) {}

  start(): void {
    this.begun = performance.now();
    for (let client = 0; client < NEW_CONNECTION_CLIENTS; client++) {
      this.#clients.push(this.#repeat("new", () => onNewConnection(this.port)));
    }
    const client = new KeepAliveClient(this.port, this.keepAlive);
    this.#clients.push(
      this.#repeat("keep-alive", () => client.ask()).finally(() => client.close()),
    );
  }

  /** Ends after the requests that are under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#clients);
  }

  async #repeat(client: Outcome["client"], ask: () => Promise<string>): Promise<void> {
    while (!this.#stopped) {
      const { phase } = this;
      const begin = performance.now();
      const result = await ask().then(
        (version) => ({ version }),
        (error) => ({ failure: reasonOf(error) }),
      );
      const now = performance.now();
      const outcome = { client, phase, at: now - this.begun, milliseconds: now - begin, ...result };
      this.outcomes.push(outcome);
      this.report(outcome);
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }
}

/** Keeps one connection, and opens another when the server has closed it. */
class KeepAliveClient {
  #connection: Connection | undefined;
  #connections = 0;

  constructor(readonly port: number, readonly counts: KeepAlive) {}

  async ask(): Promise<string> {
    const reused = this.#connection;
    if (reused) {
      try {
        return await this.#askOn(reused);
      } catch (error) {
        // RFC 9110, 9.2.2: only what got no answer at all may be sent again.
        if (!(error instanceof Unanswered)) throw error;
        this.counts.retries++;
      }
    }
    const connection = await Connection.open(this.port);
    if (++this.#connections > 1) this.counts.reconnects++;
    this.#connection = connection;
    return await this.#askOn(connection);
  }

  close(): void {
    this.#connection?.[Symbol.dispose]();
    this.#connection = undefined;
  }

  async #askOn(connection: Connection): Promise<string> {
    try {
      const { body, last } = await connection.ask("keep-alive");
      if (last) this.close();
      return body;
    } catch (error) {
      this.close();
      throw error;
    }
  }
}

async function onNewConnection(port: number): Promise<string> {
  using connection = await Connection.open(port);
  return (await connection.ask("close")).body;
}

/** The connection ended before the first byte of an answer. */
class Unanswered extends Error {}

/** A connection, and the requests on it one after the other. */
class Connection implements Disposable {
  readonly #buffer = new Uint8Array(4096);

  private constructor(readonly tcp: Deno.TcpConn) {}

  static async open(port: number): Promise<Connection> {
    return new Connection(
      await withDeadline((signal) => Deno.connect({ hostname: "127.0.0.1", port, signal })),
    );
  }

  /** @returns the body, and whether the server will close the connection */
  async ask(connection: "close" | "keep-alive"): Promise<{ body: string; last: boolean }> {
    return await withDeadline(async (signal) => {
      signal.addEventListener("abort", () => this[Symbol.dispose]());
      try {
        const head = `GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: ${connection}\r\n\r\n`;
        for (let rest = encoder.encode(head); rest.length > 0;) {
          rest = rest.subarray(await this.tcp.write(rest));
        }
      } catch (error) {
        throw new Unanswered(reasonOf(error));
      }
      return await this.#answer();
    });
  }

  async #answer(): Promise<{ body: string; last: boolean }> {
    for (let text = "";;) {
      const n = await this.tcp.read(this.#buffer).catch((error) => {
        throw text === "" ? new Unanswered(reasonOf(error)) : error;
      });
      if (n === null) {
        throw text === ""
          ? new Unanswered("closed without an answer")
          : new Error("cut-off answer");
      }
      text += decoder.decode(this.#buffer.subarray(0, n));
      const [head = "", body] = text.split("\r\n\r\n");
      const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? NaN);
      if (body === undefined || body.length < length) continue;
      const [, status] = head.split(" ");
      if (status !== "200" || body.length !== length) throw new Error(`wrong answer: ${head}`);
      return { body, last: /^connection: close$/im.test(head) };
    }
  }

  [Symbol.dispose](): void {
    try {
      this.tcp.close();
    } catch {
      // Closed already, at the deadline.
    }
  }
}

async function withDeadline<T>(action: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), DEADLINE);
  try {
    return await action(deadline.signal);
  } catch (error) {
    throw deadline.signal.aborted
      ? new Error(`no answer in ${format(DEADLINE, { ignoreZero: true })}`)
      : error;
  } finally {
    clearTimeout(timer);
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
