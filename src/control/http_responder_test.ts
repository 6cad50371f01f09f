import { assert, assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { connectedPair } from "../../tests/support/connection.ts";
import { leavesNoDescriptors } from "../../tests/support/descriptors.ts";
import { settled } from "../../tests/support/poller.ts";
import { until } from "../../tests/support/process_status.ts";
import { createMemfd } from "../../ffi/memfd.ts";
import { receiveMessage, sendMessage } from "../../ffi/fd_passing.ts";
import { Poller } from "../../ffi/poll.ts";
import { isAllRead } from "../../ffi/socket.ts";
import { answerRequest, type Content } from "./http_responder.ts";

/** Milliseconds that no test needs: it would fail. */
const LONG = 20_000;
const poller = new Poller();

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text) as Uint8Array<ArrayBuffer>;
}

const content = (): Promise<Content> =>
  Promise.resolve({ type: "text/plain", pieces: [bytesOf("a "), bytesOf("1\n")] });

/** Has one connection answered. @returns what the client gets */
async function answer(
  parts: readonly string[],
  tell: () => Promise<Content> = content,
  time = LONG,
): Promise<string> {
  let text = "";
  await leavesNoDescriptors(async () => {
    const [ours, client] = connectedPair();
    const answered = answerRequest(ours, poller, tell, time);
    for (const part of parts) {
      sendMessage(client, bytesOf(part));
      await until(() => isAllRead(client));
    }
    await answered;
    const buffer = new Uint8Array(65_536);
    const received = receiveMessage(client, buffer);
    text = new TextDecoder().decode(buffer.subarray(0, received?.length ?? 0));
    ours.close();
    client.close();
    await settled(poller);
  });
  return text;
}

Deno.test("a request is answered once it is whole, however it comes", async () => {
  const whole = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
  const expected = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n" +
    "Connection: close\r\n\r\na 1\n";
  assertStrictEquals(await answer([whole]), expected);
  assertStrictEquals(await answer([...whole]), expected);
});

Deno.test("whether clients are to be sent here is told where somebody knows", async () => {
  const ask = async (unready?: () => string | undefined) => {
    const [ours, client] = connectedPair();
    const answered = answerRequest(ours, poller, content, LONG, unready);
    sendMessage(client, bytesOf("GET /ready HTTP/1.1\r\n\r\n"));
    await answered;
    const buffer = new Uint8Array(65_536);
    const received = receiveMessage(client, buffer);
    ours.close();
    client.close();
    await settled(poller);
    return new TextDecoder().decode(buffer.subarray(0, received?.length ?? 0));
  };
  assertMatch(await ask(() => undefined), /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nready\n$/);
  assertMatch(await ask(() => "stopping"), /^HTTP\/1\.1 503 [^]*\r\n\r\nstopping\n$/);
  assertMatch(await ask(), /^HTTP\/1\.1 404 /);
});

Deno.test("an answer to HEAD has header fields and nothing after them, whatever GET would get", async () => {
  for (const path of ["/metrics", "/ready", "/none"]) {
    const text = await answer([`HEAD ${path} HTTP/1.1\r\n\r\n`]);
    assertMatch(text, /^HTTP\/1\.1 \d+ [^]*Content-Length: [1-9]/);
    assertStrictEquals(text.indexOf("\r\n\r\n"), text.length - 4, text);
  }
});

Deno.test("who says nothing, or too little, gets no answer when the time is over", async () => {
  for (const parts of [[], ["GET /metrics HTTP/1.1\r\n"]]) {
    assertStrictEquals(await answer(parts, content, 20), "");
  }
});

Deno.test("who does not read the answer is let go when the time is over", async () => {
  const much = () =>
    Promise.resolve({ type: "text/plain", pieces: [new Uint8Array(4 * 1024 * 1024)] });
  const text = await answer(["GET /metrics HTTP/1.1\r\n\r\n"], much, 50);
  assertMatch(text, /^HTTP\/1\.1 200 OK\r\n/);
});

Deno.test("metrics that cannot be read are no end of anything", async () => {
  const fail = () => Promise.reject(new Error("none"));
  assertMatch(await answer(["GET /metrics HTTP/1.1\r\n\r\n"], fail), /^HTTP\/1\.1 500 /);
});

Deno.test("descriptors that come with a request are not received", async () => {
  using file = createMemfd("sent");
  const [ours, client] = connectedPair();
  let asked = 0;
  sendMessage(client, bytesOf("GET /metrics HTTP/1.1\r\n\r\n"), [file]);
  await answerRequest(ours, poller, () => (asked++, content()), LONG);
  assertEquals(asked, 0);
  ours.close();
  client.close();
  await settled(poller);
});

Deno.test("others have their turns between the pieces of a long answer", async () => {
  const pieces = Array.from({ length: 20 }, () => bytesOf("a"));
  const now = performance.now.bind(performance);
  let [late, turns, timer] = [0, 0, 0];
  const takeTurn = () => {
    turns++;
    timer = setTimeout(takeTurn, 0);
  };
  const [ours, client] = connectedPair();
  sendMessage(client, bytesOf("GET /metrics HTTP/1.1\r\n\r\n"));
  try {
    // Each piece takes as long as work may take at once.
    performance.now = () => now() + (late += 5);
    await answerRequest(ours, poller, () => {
      timer = setTimeout(takeTurn, 0);
      return Promise.resolve({ type: "text/plain", pieces });
    });
  } finally {
    performance.now = now;
    clearTimeout(timer);
  }
  assert(turns >= pieces.length / 2, `${turns} turns`);
  ours.close();
  client.close();
  await settled(poller);
});
