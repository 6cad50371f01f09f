/** Conversations that no honest client would have, and what must come of each. */

import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import fc from "fast-check";
import { POLLIN, POLLOUT, SHUT_WR } from "../../ffi/constants.ts";
import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { type Received, receiveMessage, sendMessage } from "../../ffi/fd_passing.ts";
import type { Poller } from "../../ffi/poll.ts";
import { connectUnix, shutDown } from "../../ffi/socket.ts";
import { PATIENCE } from "./deadline.ts";

/** What one client does on one connection. */
export interface Conversation {
  /** Sent one after the other. */
  chunks: Uint8Array<ArrayBuffer>[];
  /** How many descriptors go with the first. */
  fds: number;
  /** Leaves at once, or says that it is done and reads to the end. */
  leaves: boolean;
}

/** How many conversations a test has: as many as MULTIBINDER_FUZZ_CASES says, else a few. */
export const CASES = Number(Deno.env.get("MULTIBINDER_FUZZ_CASES") || 3000);

/** Conversations that are held at the same time. */
export const AT_ONCE = 20;

const FOLDER = new URL("./corpus/", import.meta.url);

/** Texts that once were, or might be, too much for a parser. */
const corpus = [...Deno.readDirSync(FOLDER)].map(({ name }) => name).sort()
  .map((name) => Deno.readFileSync(new URL(name, FOLDER)));

const encode = (text: string) => new Uint8Array(new TextEncoder().encode(text));

const oddValue = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom<unknown>(null, "", "__proto__", "\0", -1, 65536, 1e308, [], {}, true),
);
const address = fc.oneof(
  fc.ipV4(),
  fc.ipV6(),
  fc.constantFrom("", "*", "udp:", "udp:::", "unix:/", "unix:/proc/self/x", "[::1", "%", "1.2.3"),
  oddValue,
);
const optionName = fc.constantFrom(
  ...["v4v6", "v6only", "interface", "reuseport", "defer-accept", "tfo", "mss", "mptcp"],
  ...["transparent", "freebind", "mark", "mode", "user", "group", "backlog"],
  ...["__proto__", "no-such"],
);
const optionValue = fc.oneof(
  fc.constantFrom<unknown>(true, "lo", "1/2", "2/2", "256/256", 1400, 0xffffffff, "660", "root"),
  oddValue,
);
const options = fc.oneof(fc.dictionary(optionName, optionValue, { maxKeys: 4 }), oddValue);
const param = fc.record(
  { address, port: fc.oneof(fc.nat(70_000), oddValue), backlog: oddValue, options },
  { requiredKeys: [] },
);
const request = fc.record({
  jsonrpc: fc.oneof(fc.constant("2.0"), oddValue),
  // No upgrade: it would end the program under test, as it should.
  method: fc.oneof(fc.constantFrom("bind", "adopt", "unbind", "status", "reload"), oddValue),
  id: fc.oneof(fc.nat(), fc.string(), oddValue),
  params: fc.oneof(fc.array(param, { maxLength: 5 }), oddValue),
}, { requiredKeys: [] }).map((value) => encode(JSON.stringify(value)));

/** A text with some of its bytes replaced, left out or repeated. */
const damaged = fc.tuple(
  fc.oneof(fc.constantFrom(...corpus), request),
  fc.array(fc.tuple(fc.nat(), fc.constantFrom("flip", "cut", "repeat"), fc.nat(255)), {
    maxLength: 4,
  }),
).map(([text, changes]) => {
  let bytes = text;
  for (const [place, change, value] of changes) {
    const at = place % Math.max(1, bytes.length);
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
    if (change === "flip") bytes = bytes.map((byte, index) => index === at ? value : byte);
    else if (change === "cut") bytes = joined([before, after.subarray(value)]);
    else bytes = joined([before, after.subarray(0, value), after]);
  }
  return bytes;
});

const piece = fc.oneof(
  { weight: 4, arbitrary: damaged },
  { weight: 2, arbitrary: request },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }).map((bytes) => bytes.slice()) },
  {
    weight: 1,
    arbitrary: fc.string({ unit: fc.constantFrom(...'{}[]"\\:, \n\0é'), maxLength: 200 }).map(
      encode,
    ),
  },
);

/** Any conversation. */
export const conversations: fc.Arbitrary<Conversation> = fc.record({
  chunks: fc.array(piece, { minLength: 1, maxLength: 4 }),
  fds: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 253 })),
  leaves: fc.boolean(),
});

/**
 * Holds a conversation.
 * @param gift the descriptor that is sent along
 * @returns the answers; rejects when the other end does not come to an end
 */
export async function converse(
  path: string,
  { chunks, fds, leaves }: Conversation,
  gift: Fd,
  poller: Poller,
): Promise<string[]> {
  using socket = connectUnix(path);
  const ready = async (events: number) => {
    if (await poller.wait(socket, events, PATIENCE) === 0) throw new Error("no end in sight");
  };
  const gifts = new Array<Fd>(fds).fill(gift);
  try {
    for (const chunk of chunks) {
      for (let left = chunk; left.length > 0;) {
        const sent = sendMessage(socket, left, left === chunk ? gifts.splice(0) : []);
        if (sent === undefined) await ready(POLLOUT);
        else left = left.subarray(sent);
      }
    }
    if (leaves) return [];
    shutDown(socket, SHUT_WR);
  } catch (error) {
    // It was cut off for what it had sent before.
    if (!(error instanceof SystemError && error.code === "EPIPE")) throw error;
  }
  const buffer = new Uint8Array(65_536);
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for (;;) {
    await ready(POLLIN);
    const received = receiveToEnd(socket, buffer);
    received?.fds.forEach((fd) => fd.close());
    if (received?.length === 0) return lines(joined(parts));
    if (received) parts.push(buffer.slice(0, received.length));
  }
}

/** As receiveMessage; a connection that is given up with something unread ends in ECONNRESET, after the answers. */
function receiveToEnd(socket: Fd, buffer: Uint8Array<ArrayBuffer>): Received | undefined {
  try {
    return receiveMessage(socket, buffer);
  } catch (error) {
    if (!(error instanceof SystemError && error.code === "ECONNRESET")) throw error;
    return { length: 0, fds: [], truncated: false };
  }
}

/** Asserts that an answer is one of JSON-RPC 2.0, section 5. */
export function assertAnswer(line: string): void {
  const { jsonrpc, id, result, error, ...rest } = JSON.parse(line);
  assertEquals([jsonrpc, rest], ["2.0", {}], line);
  assert(id === null || ["string", "number"].includes(typeof id), line);
  assertStrictEquals((result === undefined) !== (error === undefined), true, line);
  if (error === undefined) return;
  assert(Number.isInteger(error.code) && typeof error.message === "string", line);
}

function joined(parts: readonly Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
  return whole;
}

function lines(bytes: Uint8Array<ArrayBuffer>): string[] {
  const text = new TextDecoder().decode(bytes);
  assert(text === "" || text.endsWith("\n"), "the last answer is not whole");
  return text.split("\n").slice(0, -1);
}
