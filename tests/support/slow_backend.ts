/** A server behind HAProxy whose replies take as long as a test wants. */

import type { SiteOptions } from "./haproxy.ts";

/** Listens at once, and answers a request when told to. */
export class SlowBackend implements Disposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });

  /** For `site`: requests for /slow go here. */
  get options(): SiteOptions {
    return {
      frontend: ["http-request allow if { path /slow }"],
      rest: ["default_backend slow", "backend slow", `server slow 127.0.0.1:${this.port}`],
    };
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  /** Waits until HAProxy has passed a request on. */
  async request(): Promise<SlowRequest> {
    const connection = await this.#listener.accept();
    await connection.read(new Uint8Array(4096));
    return {
      answer: async (body) => {
        const text = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
        await connection.write(new TextEncoder().encode(text));
      },
      [Symbol.dispose]: () => connection.close(),
    };
  }

  [Symbol.dispose](): void {
    this.#listener.close();
  }
}

/** A request that HAProxy waits for the reply to. */
export interface SlowRequest extends Disposable {
  answer(body: string): Promise<void>;
}
