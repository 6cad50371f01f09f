/**
 * Answers one HTTP/1.x request on a connection, and closes it (RFC 9112): as much of HTTP as a scraper of
 * metrics needs, on our own sockets, since the program has no permission to use the runtime's. Nothing that a
 * client sends is kept or acted upon, but for the method and the path.
 * @module
 */

import { POLLIN, POLLOUT, SHUT_WR, SO_OOBINLINE, SOL_SOCKET } from "../../ffi/constants.ts";
import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { receiveBytes, sendMessage } from "../../ffi/fd_passing.ts";
import type { Poller } from "../../ffi/poll.ts";
import { setOption, shutDown } from "../../ffi/socket.ts";
import { giveTurn } from "../turns.ts";

/** Milliseconds from the accept to the last byte of the answer. */
const REQUEST_TIME = 10_000;

/** Bytes of a request line and its header fields. */
const MAX_HEAD = 8192;

/** The path of the metrics. */
const PATH = "/metrics";

/** The path that says whether clients are to be sent here, for load balancers. */
const READY_PATH = "/ready";

/** The metrics, as the body of an answer. */
export interface Content {
  type: string;
  /** In pieces, between which others have their turns: each is copied to the kernel at once. */
  pieces: readonly Uint8Array<ArrayBuffer>[];
}

/**
 * Answers one request. It ends when the answer is sent, the client is gone, or its time is over; the
 * connection stays the caller's to close.
 * @param content reads the metrics; called only when a request for them is complete and right
 * @param unready why clients are not to be sent here; undefined when they are
 */
export async function answerRequest(
  fd: Fd,
  poller: Poller,
  content: () => Promise<Content>,
  time: number = REQUEST_TIME,
  unready?: () => string | undefined,
): Promise<void> {
  const deadline = performance.now() + time;
  try {
    // Otherwise a receive would drop an urgent byte, and close the descriptors that came with it.
    setOption(fd, SOL_SOCKET, SO_OOBINLINE, 1);
    const head = await receiveHead(fd, poller, deadline);
    if (head === undefined) return;
    const answer = await answerTo(head, content, unready);
    for (const bytes of answer) {
      // Whoever is gone takes no more turns: others wait for theirs.
      if (!await sendAll(fd, poller, bytes, deadline)) return;
      await giveTurn();
    }
    if (!fd.closed) shutDown(fd, SHUT_WR);
  } catch (error) {
    // The client has gone away.
    if (!(error instanceof SystemError)) throw error;
  }
}

/** @returns undefined when it does not come (the client is silent, gone, or sends descriptors); "" for a long one */
async function receiveHead(fd: Fd, poller: Poller, deadline: number): Promise<string | undefined> {
  const bytes = new Uint8Array(MAX_HEAD);
  for (let length = 0; length < MAX_HEAD;) {
    const left = deadline - performance.now();
    if (left <= 0 || await poller.wait(fd, POLLIN, left) === 0 || fd.closed) return undefined;
    const received = receiveBytes(fd, bytes.subarray(length));
    if (received === undefined) continue;
    if (received.length === 0 || received.withFds) return undefined;
    length += received.length;
    const text = new TextDecoder("latin1").decode(bytes.subarray(0, length));
    if (/\r?\n\r?\n/.test(text)) return text;
  }
  return "";
}

async function answerTo(
  head: string,
  content: () => Promise<Content>,
  unready?: () => string | undefined,
): Promise<Uint8Array<ArrayBuffer>[]> {
  if (head === "") {
    return plain("431 Request Header Fields Too Large", `at most ${MAX_HEAD} bytes`);
  }
  const [, method, target = ""] = /^([A-Z]+) (\S+) HTTP\/1\.[01]\r?\n/.exec(head) ?? [];
  if (method === undefined) return plain("400 Bad Request", "this is HTTP/1.1");
  if (method !== "GET" && method !== "HEAD") {
    return plain(
      "405 Method Not Allowed",
      "there is nothing to write here",
      "Allow: GET, HEAD\r\n",
    );
  }
  const answer = await answerAt(target.replace(/\?.*$/, ""), content, unready);
  // An answer to HEAD ends with its header fields.
  return method === "HEAD" ? answer.slice(0, 1) : answer;
}

/** What GET has from a path: the header fields, and the pieces of what follows them. */
async function answerAt(
  path: string,
  content: () => Promise<Content>,
  unready?: () => string | undefined,
): Promise<Uint8Array<ArrayBuffer>[]> {
  if (path === READY_PATH && unready) {
    const why = unready();
    return plain(why === undefined ? "200 OK" : "503 Service Unavailable", why ?? "ready");
  }
  if (path !== PATH) return plain("404 Not Found", `metrics are at ${PATH}`);
  let found: Content;
  try {
    found = await content();
  } catch {
    return plain("500 Internal Server Error", "the metrics could not be read");
  }
  const length = found.pieces.reduce((sum, piece) => sum + piece.length, 0);
  return [headOf("200 OK", found.type, length), ...found.pieces];
}

function plain(status: string, text: string, fields = ""): Uint8Array<ArrayBuffer>[] {
  const body = encode(`${text}\n`);
  return [headOf(status, "text/plain; charset=utf-8", body.length, fields), body];
}

function headOf(
  status: string,
  type: string,
  length: number,
  fields = "",
): Uint8Array<ArrayBuffer> {
  return encode(
    `HTTP/1.1 ${status}\r\nContent-Type: ${type}\r\nContent-Length: ${length}\r\n${fields}` +
      "Connection: close\r\n\r\n",
  );
}

/** @returns false when it could not be sent in time, or the connection was closed */
async function sendAll(
  fd: Fd,
  poller: Poller,
  bytes: Uint8Array<ArrayBuffer>,
  deadline: number,
): Promise<boolean> {
  for (let rest = bytes; rest.length > 0 && !fd.closed;) {
    const sent = sendMessage(fd, rest);
    if (sent !== undefined) {
      rest = rest.subarray(sent);
      continue;
    }
    const left = deadline - performance.now();
    if (left <= 0 || await poller.wait(fd, POLLOUT, left) === 0) return false;
  }
  return !fd.closed;
}

function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text) as Uint8Array<ArrayBuffer>;
}
