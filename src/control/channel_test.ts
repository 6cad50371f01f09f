import {
  assert,
  assertEquals,
  assertObjectMatch,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { POLLOUT } from "../../ffi/constants.ts";
import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { peekMessage, sendMessage } from "../../ffi/fd_passing.ts";
import { discardNow } from "../../ffi/discard.ts";
import { createMemfd } from "../../ffi/memfd.ts";
import { Poller } from "../../ffi/poll.ts";
import { raiseFdLimit } from "../../ffi/rlimit.ts";
import { connectedPair } from "../../tests/support/connection.ts";
import { leavesNoDescriptors, openDescriptors, openFile } from "../../tests/support/descriptors.ts";
import { settled } from "../../tests/support/poller.ts";
import { Channel, ChannelClosed, RECEIVED_AT_ONCE, UninvitedFds } from "./channel.ts";
import { FramingError } from "./framing.ts";

/** Milliseconds that no test needs: it would fail. */
const LONG = 20_000;
const poller = new Poller();
const encode = (text: string) => new Uint8Array(new TextEncoder().encode(text));

/** Runs `action` with a channel and the other end of its connection. */
async function withChannel(action: (near: Channel, far: Fd) => Promise<void>): Promise<void> {
  const [fd, far] = connectedPair();
  const near = new Channel(fd, poller);
  try {
    await action(near, far);
  } finally {
    near.close();
    far.close();
    await settled(poller);
  }
}

/** Runs `action` with both ends as channels. */
function withChannels(action: (near: Channel, far: Channel) => Promise<void>): Promise<void> {
  return withChannel(async (near, fd) => {
    const far = new Channel(fd, poller);
    try {
      await action(near, far);
    } finally {
      far.close();
    }
  });
}

/** Files in memory, which their names tell apart. */
function memfds(count: number): Fd[] {
  return Array.from({ length: count }, (_, index) => createMemfd(`test-${index}`));
}

/** Sends all at once, past the channel. */
function sendRaw(fd: Fd, text: string, fds: readonly Fd[] = []): void {
  assertStrictEquals(sendMessage(fd, encode(text), fds), text.length);
}

for (const count of [0, 1, 253, 254, 1000]) {
  Deno.test(`a message arrives with its ${count} descriptors, in their order`, async () => {
    raiseFdLimit();
    await leavesNoDescriptors(() =>
      withChannels(async (near, far) => {
        const sent = memfds(Math.min(count, 7));
        const fds = Array.from({ length: count }, (_, index) => sent[index % 7]).filter((fd) =>
          fd !== undefined
        );
        far.maxFds = count;
        const message = { id: 1, result: fds.map((_, index) => `127.0.0.1:${index}`) };
        const [text] = await Promise.all([far.receive(LONG), near.send(message, fds, LONG)]);
        assertEquals(JSON.parse(text ?? ""), { jsonrpc: "2.0", ...message });
        const received = far.takeFds();
        assertEquals(received.map(openFile), fds.map(openFile));
        assert(received.every((fd) => fd.closeOnExec));
        assertStrictEquals(far.truncated, false);
        [...received, ...sent].forEach((fd) => fd.close());
      })
    );
  });
}

Deno.test("a message longer than the socket's buffer goes as the peer reads", async () => {
  await withChannels(async (near, far) => {
    const message = { text: "x".repeat(1_000_000) };
    const [text] = await Promise.all([far.receive(LONG), near.send(message, [], LONG)]);
    assertStrictEquals(JSON.parse(text ?? "").text, message.text);
  });
});

Deno.test("a message to a peer that does not read ends after the timeout", async () => {
  await withChannel(async (near) => {
    await assertRejects(() => near.send({ text: "x".repeat(1_000_000) }, [], 10), ChannelClosed);
  });
});

Deno.test("messages of both directions and without newlines come in their order", async () => {
  await withChannels(async (near, far) => {
    sendRaw(near.fd, '{"a":1}{"a":2}\n\n {"a":3}');
    for (const a of [1, 2, 3]) assertStrictEquals(await far.receive(LONG), `{"a":${a}}`);
    await far.send({ b: 1 }, [], LONG);
    assertStrictEquals(await near.receive(LONG), '{"jsonrpc":"2.0","b":1}');
  });
});

Deno.test("a peer that closes, between messages or within one, ends the stream", async () => {
  for (const text of ["\n", '{"a":', '{"a":1}{']) {
    await withChannel(async (near, far) => {
      sendRaw(far, text);
      far.close();
      if (text.includes("}")) assertStrictEquals(await near.receive(LONG), '{"a":1}');
      assertStrictEquals(await near.receive(LONG), undefined);
    });
  }
});

Deno.test("a peer that is gone is a failed system call", async () => {
  await withChannel(async (near, far) => {
    far.close();
    assertObjectMatch(await assertRejects(() => near.send({}, [], LONG), SystemError), {
      code: "EPIPE",
    });
  });
  await withChannel(async (near, far) => {
    await near.send({}, [], LONG);
    far.close();
    assertObjectMatch(await assertRejects(() => near.receive(LONG), SystemError), {
      code: "ECONNRESET",
    });
  });
});

Deno.test("garbage is a framing error", async () => {
  await withChannel(async (near, far) => {
    sendRaw(far, "GET / HTTP/1.1\r\n");
    await assertRejects(() => near.receive(LONG), FramingError);
  });
});

Deno.test("descriptors that nobody asked for are closed as they come", async () => {
  await withChannel(async (near, far) => {
    const sent = memfds(5);
    const before = openDescriptors();
    sendRaw(far, '{"a":1}', sent);
    await near.receive(LONG);
    discardNow();
    assertStrictEquals(openDescriptors(), before);

    near.maxFds = 2;
    sendRaw(far, '{"a"', sent);
    sendRaw(far, ":1}", sent);
    await near.receive(LONG);
    discardNow();
    assertStrictEquals(openDescriptors(), before + 2);
    near.close();
    assertStrictEquals(openDescriptors(), before - 1, "the two are closed with the connection");
    sent.forEach((fd) => fd.close());
  });
});

Deno.test("a peer that sends nothing, or never finishes, is given up at the deadline", async () => {
  await withChannel(async (near, far) => {
    await assertRejects(() => near.receive(10), ChannelClosed);
    sendRaw(far, '{"a":');
    await assertRejects(() => near.receive(10), ChannelClosed);
    sendRaw(far, "1}");
    assertStrictEquals(await near.receive(LONG), '{"a":1}', "what came in time is kept");
  });
});

Deno.test("a peer that sends byte after byte is given up at the deadline", async () => {
  await withChannel(async (near, far) => {
    sendRaw(far, '{"a":"');
    const received = near.receive(10).finally(() => poller.cancel(far));
    const dribble = async () => {
      while ((await poller.wait(far, POLLOUT, LONG)) !== 0) sendRaw(far, "x");
    };
    const dribbling = dribble();
    await assertRejects(() => received, ChannelClosed);
    await dribbling;
  });
});

Deno.test("a closed channel says so, whether one waits for it or comes later", async () => {
  await withChannel(async (near) => {
    const waiting = near.receive(LONG);
    near.close();
    await assertRejects(() => waiting, ChannelClosed);
    await assertRejects(() => near.receive(LONG), ChannelClosed);
    await assertRejects(() => near.send({}, [], LONG), ChannelClosed);
    near.close();
  });
});

Deno.test("another channel goes on with a half-received message", async () => {
  await withChannel(async (near, far) => {
    sendRaw(far, '{"a":1}{"b"');
    await near.receive(LONG);
    await assertRejects(() => near.receive(0), ChannelClosed);
    const successor = new Channel(near.fd.duplicate(), poller, near.pending.slice());
    near.close();
    sendRaw(far, ":2}");
    assertStrictEquals(await successor.receive(LONG), '{"b":2}');
    successor.close();
  });
});

Deno.test("descriptors are received only when they were seen to be sockets, wherever they begin", async () => {
  const text = '{"method":"a"}';
  await leavesNoDescriptors(async () => {
    for (const at of [0, 4]) {
      await withChannel(async (near, far) => {
        using file = createMemfd("test");
        const looks: string[][] = [];
        near.maxFds = 10;
        near.guardFds((connection) => {
          const seen = peekMessage(connection, new Uint8Array(RECEIVED_AT_ONCE))?.fds ?? [];
          looks.push(seen.map(openFile));
          seen.forEach((fd) => fd.close());
          return Promise.resolve(looks.length > 1);
        });
        if (at > 0) sendRaw(far, text.slice(0, at));
        sendRaw(far, text.slice(at), [file]);
        const error = await assertRejects(() => near.receive(LONG), UninvitedFds);
        assertStrictEquals(error.text, text);
        assertStrictEquals(near.holdsFds, false);
        // They are where they were, and are received after another look.
        assertStrictEquals(await near.receive(LONG), text);
        assertEquals(looks, [[openFile(file)], [openFile(file)]]);
        near.takeFds().forEach((fd) => fd.close());
      });
    }
  });
});
