/** Connections that wait in an accept queue. */

import "./libc.ts";
import type { Fd } from "../../ffi/fd.ts";
import { ControlClient } from "../../src/control/client.ts";
import { bodyOf, HttpConnection, type Target } from "./http_client.ts";

/** How many there are. */
export const WAITING = 300;

/** A copy of a binder's socket, to look at its accept queue. */
export async function copySocket(sock: string, { hostname, port }: Target): Promise<Fd> {
  using client = ControlClient.connect(sock);
  const [fd] = await client.bind([{ address: hostname, port }]);
  if (fd === undefined) throw new Error("the binder sent no socket");
  return fd;
}

/** Connections that have sent a request, which nobody has read yet. */
export class Waiting implements Disposable {
  readonly #connections: HttpConnection[] = [];

  async open(target: Target): Promise<void> {
    for (let count = 0; count < WAITING; count++) {
      const connection = await HttpConnection.open(target);
      this.#connections.push(connection);
      await connection.send("/", ["Connection: close"]);
    }
  }

  /** How the requests end: the body of a reply, or `lost`. */
  async replies(): Promise<Map<string, number>> {
    const replies = new Map<string, number>();
    const ends = this.#connections.map((connection) =>
      connection.receive().then(bodyOf).catch(() => "lost")
    );
    for (const end of await Promise.all(ends)) replies.set(end, (replies.get(end) ?? 0) + 1);
    return replies;
  }

  [Symbol.dispose](): void {
    this.#connections.forEach((connection) => connection[Symbol.dispose]());
  }
}
