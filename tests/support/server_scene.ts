/** A server of the control socket within this process, and its clients. */

import { assert, assertEquals, assertStrictEquals, fail } from "@std/assert";
import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { sendMessage } from "../../ffi/fd_passing.ts";
import { Poller } from "../../ffi/poll.ts";
import { connectUnix } from "../../ffi/socket.ts";
import { createLog } from "../../src/log.ts";
import { Channel } from "../../src/control/channel.ts";
import { MAX_MESSAGE_BYTES } from "../../src/control/framing.ts";
import type { Handler, Rights } from "../../src/control/handler.ts";
import { RPC, RpcError } from "../../src/control/messages.ts";
import { ControlServer, type Limits } from "../../src/control/server.ts";
import { listenAbstract } from "./connection.ts";
import { settled } from "./poller.ts";

/** How long an answer may take before a test fails, in milliseconds. */
export const LONG = 20_000;
const poller = new Poller();
const encode = (text: string) => new Uint8Array(new TextEncoder().encode(text));

/** Answers `echo` with its params, and refuses every other method. */
export const echo: Handler = ({ method, params }) => {
  if (method !== "echo") throw new RpcError(RPC.methodNotFound, `Method not found: ${method}`);
  return Promise.resolve({ result: params, fds: [] });
};

/** A server on a real socket, with its log and its clients; all is closed at the end of the scope. */
export class Scene implements AsyncDisposable {
  readonly log: string[] = [];
  /** What everyone may do who is accepted from now on. */
  rights: Rights;
  readonly server: ControlServer;
  readonly path: string;
  readonly #clients: Channel[] = [];
  #running: Promise<void> | undefined;

  /** @param maxFds that a client may send with a request */
  constructor(handle: Handler, limits?: Partial<Limits>, maxFds = 0) {
    const { fd, path } = listenAbstract();
    this.path = path;
    const log = createLog({ format: "text", level: "debug" }, (line) => this.log.push(line));
    const bounds = { clients: 100, idle: LONG, ...limits };
    this.rights = { served: true, trusted: true, maxFds, maxBytes: MAX_MESSAGE_BYTES };
    this.server = new ControlServer(fd, poller, handle, log, () => this.rights, bounds);
  }

  /** Starts to accept. */
  run(): this {
    this.#running = this.server.run();
    return this;
  }

  connect(): Channel {
    const channel = new Channel(connectUnix(this.path), poller);
    this.#clients.push(channel);
    return channel;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.close();
    this.#clients.forEach((channel) => channel.close());
    await this.#running;
    await settled(poller);
  }
}

/** A scene whose server runs. */
export function serve(handle: Handler, limits?: Partial<Limits>, maxFds?: number): Scene {
  return new Scene(handle, limits, maxFds).run();
}

/** Sends text as it is, whole. */
export function sendRaw(channel: Channel, text: string, fds: readonly Fd[] = []): void {
  assertStrictEquals(sendMessage(channel.fd, encode(text), fds), encode(text).length);
}

export async function answer(channel: Channel): Promise<Record<string, unknown>> {
  return JSON.parse(await channel.receive(LONG) ?? fail("the connection was closed"));
}

/** Asks for an echo and gets it. */
export async function isServed(channel: Channel): Promise<void> {
  const id = crypto.randomUUID();
  await channel.send({ id, method: "echo", params: [id] }, [], LONG);
  assertEquals(await answer(channel), { jsonrpc: "2.0", id, result: [id] });
}

/** Waits until the server has closed the connection. */
export async function isClosed(channel: Channel): Promise<void> {
  try {
    while (await channel.receive(LONG) !== undefined);
  } catch (error) {
    // It was closed before it had read everything.
    assert(error instanceof SystemError && error.code === "ECONNRESET", String(error));
  }
}
