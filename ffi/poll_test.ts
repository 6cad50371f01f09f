import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import fc from "fast-check";
import { ignoreIfEmulated } from "../tests/support/emulated.ts";
import { connectedPair } from "../tests/support/connection.ts";
import { check } from "./errno.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK, POLLERR, POLLHUP, POLLIN, POLLOUT } from "./constants.ts";
import { Fd } from "./fd.ts";
import { receiveMessage, sendMessage } from "./fd_passing.ts";
import { libc } from "./libc.ts";
import { createPipe } from "./pipe.ts";
import { Poller } from "./poll.ts";
import { sendSignal } from "./process.ts";

/** Milliseconds for which a test waits only if it fails. */
const LONG = 20_000;
/** Turns of a ping-pong in which everything else should have had its turn. */
const STARVED = 200_000;
const poller = new Poller();

/** An eventfd: readable from the first `raise` on. */
function createEvent(): Fd {
  return new Fd(check("eventfd", () => libc().eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)));
}

function raise(event: Fd): void {
  const one = new Uint8Array(new BigUint64Array([1n]).buffer);
  check("write", () => libc().write(event.number, one, 8n));
}

function lower(event: Fd): void {
  check("read", () => libc().read(event.number, new Uint8Array(8), 8n));
}

/** Waits until the poll that `cancel` has woken is over, or Deno would blame the test for it. */
async function settled(): Promise<void> {
  using event = createEvent();
  raise(event);
  await poller.wait(event, POLLIN);
}

Deno.test("a descriptor that is ready already ends the wait, at timeout 0 too", async () => {
  using event = createEvent();
  raise(event);
  assertStrictEquals(await poller.wait(event, POLLIN), POLLIN);
  assertStrictEquals(await poller.wait(event, POLLIN, 0), POLLIN);
  assertStrictEquals(await poller.wait(event, POLLIN | POLLOUT, 0), POLLIN | POLLOUT);
});

Deno.test("a descriptor that gets ready later ends the wait", async () => {
  const [near, far] = connectedPair();
  using _near = near;
  using _far = far;
  const wait = poller.wait(far, POLLIN, LONG);
  sendMessage(near, new Uint8Array(1));
  assertStrictEquals(await wait, POLLIN);
  assertStrictEquals(await poller.wait(far, POLLOUT), POLLOUT);
});

Deno.test("a hang-up and an error are told though nobody asked", async () => {
  const { reader, writer } = createPipe();
  using _reader = reader;
  using _writer = writer;
  const wait = poller.wait(reader, POLLIN, LONG);
  writer.close();
  assertStrictEquals(await wait, POLLHUP);

  const other = createPipe();
  using otherWriter = other.writer;
  other.reader.close();
  assertStrictEquals(await poller.wait(otherWriter, POLLIN, LONG), POLLERR);
});

Deno.test("a timeout gives 0, not before its time", async () => {
  using event = createEvent();
  assertStrictEquals(await poller.wait(event, POLLIN, 0), 0);
  for (const timeout of [1, 20.5]) {
    const start = performance.now();
    assertStrictEquals(await poller.wait(event, POLLIN, timeout), 0);
    assert(performance.now() - start >= timeout);
  }
});

const noTime = ignoreIfEmulated("ten milliseconds are too short");

Deno.test("a timeout does not wait for a longer one that began before it", noTime, async () => {
  using event = createEvent();
  const order: number[] = [];
  const waits = [LONG, 2 * LONG, 10].map(async (timeout) => {
    assertStrictEquals(await poller.wait(event, POLLIN, timeout), 0);
    order.push(timeout);
  });
  await waits[2];
  assertEquals(order, [10]);
  poller.cancel(event);
  await Promise.all(waits);
});

Deno.test("two waits for one descriptor each end by their own event", async () => {
  const [near, far] = connectedPair();
  using _near = near;
  using _far = far;
  const readable = poller.wait(far, POLLIN, LONG);
  assertStrictEquals(await poller.wait(far, POLLOUT, LONG), POLLOUT);
  sendMessage(near, new Uint8Array(1));
  assertStrictEquals(await readable, POLLIN);
});

Deno.test("a wait that begins while the poll sleeps wakes it", async () => {
  using never = createEvent();
  using event = createEvent();
  raise(event);
  // The first wait makes the poll sleep before it returns; it would end first if nothing woke the poll.
  const first = poller.wait(never, POLLIN, LONG).then(() => "first");
  const second = poller.wait(event, POLLIN, 2 * LONG).then(() => "second");
  assertStrictEquals(await Promise.race([first, second]), "second");
  const third = poller.wait(never, POLLIN, 0).then(() => "third");
  assertStrictEquals(await Promise.race([first, third]), "third");
  raise(never);
  assertStrictEquals(await first, "first");
});

Deno.test("cancel ends the waits for one descriptor, or all", async () => {
  using first = createEvent();
  using second = createEvent();
  const waits = [
    poller.wait(first, POLLIN, LONG),
    poller.wait(first, POLLIN),
    poller.wait(second, POLLIN),
  ] as const;
  poller.cancel(first);
  first.close();
  assertEquals(await Promise.all([waits[0], waits[1]]), [0, 0]);
  raise(second);
  assertStrictEquals(await waits[2], POLLIN);

  lower(second);
  const last = poller.wait(second, POLLIN);
  poller.cancel();
  assertStrictEquals(await last, 0);
  poller.cancel();
  // What was cancelled is not waited for: the poller is free for the next one.
  raise(second);
  assertStrictEquals(await poller.wait(second, POLLIN, LONG), POLLIN);
});

Deno.test("a wait cancelled in the round in which it got ready ends once", async () => {
  using first = createEvent();
  using second = createEvent();
  let ended = 0;
  const waits = [first, second].map(async (event) => {
    await poller.wait(event, POLLIN, LONG);
    ended++;
    poller.cancel();
  });
  raise(first);
  raise(second);
  await Promise.all(waits);
  assertStrictEquals(ended, 2);
});

const noLength = ignoreIfEmulated("a property that is cut short goes on with what is closed then");

Deno.test("of hundreds of waits, each ends by its own descriptor", noLength, async () => {
  const events = Array.from({ length: 300 }, createEvent);
  try {
    await fc.assert(
      fc.asyncProperty(
        fc.shuffledSubarray([...events.keys()], { minLength: 1 }),
        async (chosen) => {
          const ended: number[] = [];
          const waits = events.map(async (event, index) => {
            if (await poller.wait(event, POLLIN) !== 0) ended.push(index);
          });
          for (const index of chosen) {
            const event = events[index];
            if (event !== undefined) raise(event);
          }
          await Promise.all(chosen.map((index) => waits[index]));
          poller.cancel();
          await Promise.all(waits);
          await settled();
          assertEquals(ended.sort((a, b) => a - b), chosen.sort((a, b) => a - b));
          chosen.forEach((index) => events[index] && lower(events[index]));
        },
      ),
      { numRuns: 20 },
    );
  } finally {
    events.forEach((event) => event.close());
  }
});

/** Turns of a ping-pong that show that it is going on. */
const GOING = 100;

/**
 * Two sockets that send a byte to and fro.
 * @returns a promise that resolves once they have done so a hundred times, and a function that ends them
 */
function pingPong(): { going: Promise<void>; stop: () => Promise<void> } {
  const [near, far] = connectedPair();
  const { promise: going, resolve } = Promise.withResolvers<void>();
  let ended = false;
  let turns = 0;
  const player = async (end: Fd) => {
    const byte = new Uint8Array(1);
    while (await poller.wait(end, POLLIN, LONG) !== 0 && !ended && turns < STARVED) {
      receiveMessage(end, byte);
      sendMessage(end, byte);
      if (++turns === GOING) resolve();
    }
    end.close();
  };
  const players = [player(near), player(far)];
  sendMessage(near, new Uint8Array(1));
  const stop = async () => {
    ended = true; // the first who notices closes its end, which the other one notices
    await Promise.all(players);
    assert(turns < STARVED, "nothing but descriptors had a turn");
  };
  return { going, stop };
}

Deno.test("a timer runs while descriptors keep the poll busy", async () => {
  const { going, stop } = pingPong();
  await going;
  // Deno's own timers have their turn: this one ends before the ping-pong does by itself.
  await new Promise((resolve) => setTimeout(resolve, 1));
  await stop();
});

Deno.test("a signal arrives while descriptors keep the poll busy, and while it sleeps", async () => {
  using never = createEvent();
  const nothing = () => ({ going: Promise.resolve(), stop: () => Promise.resolve() });
  for (const start of [pingPong, nothing]) {
    const { promise, resolve } = Promise.withResolvers<void>();
    Deno.addSignalListener("SIGUSR2", resolve);
    try {
      const { going, stop } = start();
      await going;
      const idle = poller.wait(never, POLLIN, LONG);
      sendSignal(Deno.pid, "SIGUSR2");
      await promise;
      raise(never);
      assertStrictEquals(await idle, POLLIN);
      lower(never);
      await stop();
    } finally {
      Deno.removeSignalListener("SIGUSR2", resolve);
    }
  }
});
