/** Clients of a control socket. */

import { withDeadline } from "./deadline.ts";
import { type Program, startProgram } from "./program.ts";

/** One address of a bind request. */
export interface BindParam {
  address: string;
  port?: number | string;
  backlog?: number;
  options?: Record<string, unknown>;
}

/** An answer, as a test looks at it. */
export interface Answer {
  jsonrpc: string;
  id: unknown;
  result?: unknown;
  error?: { code: number; message: string; data?: { code?: string; address?: string } };
}

/** A connection that a test writes bytes to. Descriptors that come with the answers are dropped. */
export class ControlConnection implements Disposable {
  readonly #lines: ReadableStreamDefaultReader<string>;
  #rest = "";

  private constructor(readonly connection: Deno.UnixConn) {
    this.#lines = connection.readable.pipeThrough(new TextDecoderStream()).getReader();
  }

  static async open(sock: string): Promise<ControlConnection> {
    return new ControlConnection(await Deno.connect({ transport: "unix", path: sock }));
  }

  /** Sends all of the bytes, or those of the text. */
  async send(data: string | Uint8Array): Promise<void> {
    let bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    while (bytes.length > 0) bytes = bytes.subarray(await this.connection.write(bytes));
  }

  /** The next answer; undefined when the binder has closed the connection. */
  async receive(): Promise<Answer | undefined> {
    while (!this.#rest.includes("\n")) {
      const { value, done } = await withDeadline(this.#lines.read(), () => "waiting for an answer");
      if (done) return undefined;
      this.#rest += value;
    }
    const end = this.#rest.indexOf("\n");
    const line = this.#rest.slice(0, end);
    this.#rest = this.#rest.slice(end + 1);
    return JSON.parse(line);
  }

  /** Asks for sockets. */
  async bind(...params: BindParam[]): Promise<Answer | undefined> {
    await this.send(bindRequest(...params));
    return await this.receive();
  }

  [Symbol.dispose](): void {
    try {
      this.connection.close();
    } catch {
      // Closed already, by the end of the stream.
    }
  }
}

/** A bind request as the original's clients send it: without a newline. */
export function bindRequest(...params: BindParam[]): string {
  return JSON.stringify({ jsonrpc: "2.0", method: "bind", id: crypto.randomUUID(), params });
}

/** Asks for sockets on a connection of its own. */
export async function bindOnce(sock: string, ...params: BindParam[]): Promise<Answer> {
  using connection = await ControlConnection.open(sock);
  const answer = await connection.bind(...params);
  if (answer === undefined) throw new Error("the binder closed the connection");
  return answer;
}

/**
 * Sends requests until something holds: each, with its answer, is a turn of the binder's event loop, in which it gets
 * on with what it was told before.
 */
export async function settle(sock: string, holds: () => boolean): Promise<void> {
  using connection = await ControlConnection.open(sock);
  for (let turn = 0; turn < 1000; turn++) {
    await connection.send('{"method":"none","id":1}');
    await connection.receive();
    if (holds()) return;
  }
  throw new Error(`still not true after 1000 requests: ${holds}`);
}

/** A socket that Python received. */
export interface ReceivedSocket {
  inode: number;
  family: string;
  type: string;
  name: string | [string, number];
  listening: boolean;
  /** Limit of its accept queue; null when it is not TCP. */
  backlog: number | null;
}

const PYTHON_CLIENT = new URL("./python_client.py", import.meta.url).pathname;

/** Starts the Python client in one of its modes, which its own file explains. */
export async function startPython(
  mode: "call" | "serve" | "load" | "give" | "mute" | "flood" | "linger" | "knock" | "crowd",
  sock: string,
  input: string,
  ...args: string[]
): Promise<Program> {
  const python = startProgram(["python3", PYTHON_CLIENT, mode, sock, ...args], { stdin: "piped" });
  await python.write(input);
  if (mode !== "load") await python.closeInput();
  return python;
}

/** Sends messages, unframed, on one connection of Python's. */
export async function callFromPython(
  sock: string,
  ...messages: string[]
): Promise<{ answer: Answer; sockets: ReceivedSocket[] }[]> {
  await using python = await startPython("call", sock, messages.join("\n"));
  const { code } = await python.exited;
  if (code !== 0) throw new Error(`python failed:\n${python.stderr}`);
  return python.stdout.trim().split("\n").map((line) => JSON.parse(line));
}
