import { assertEquals } from "@std/assert";
import { connectedPair } from "../../tests/support/connection.ts";
import { leavesNoDescriptors, openDescriptors } from "../../tests/support/descriptors.ts";
import { until } from "../../tests/support/process_status.ts";
import { discardNow } from "../../ffi/discard.ts";
import { receiveMessage, sendMessage } from "../../ffi/fd_passing.ts";
import { Unread } from "./unread.ts";

const BYTE = new Uint8Array(1);
const one = { uid: 1, trusted: false };
const root = { uid: 0, trusted: true };
const BOUNDS = { user: 44, others: 60, all: 200 };

Deno.test("what a client has not read counts until it has, or is gone, closed here or not", async () => {
  await leavesNoDescriptors(() => {
    const unread = new Unread(BOUNDS);
    const [near, far] = connectedPair();
    const [other, itsEnd] = connectedPair();
    assertEquals(unread.take(near, one, 44), true);
    sendMessage(near, BYTE);
    assertEquals(unread.take(other, one, 1), false);
    receiveMessage(far, new Uint8Array(1));
    assertEquals(unread.take(other, one, 44), true, "it was read");
    sendMessage(other, BYTE);
    assertEquals(unread.take(near, one, 1), false);

    const open = openDescriptors();
    unread.close(other, true);
    assertEquals(unread.take(near, one, 1), false, "it can still be read");
    assertEquals(openDescriptors(), open);
    itsEnd.close();
    assertEquals(unread.take(near, one, 1), true);
    unread.giveBack(near, 1);
    unread.close(near, true);
    unread.closeEnded();
    far.close();
    discardNow();
  });
});

Deno.test("a connection that is over is closed once it was read, although nothing else happens", async () => {
  await leavesNoDescriptors(async () => {
    const unread = new Unread(BOUNDS, 1);
    const [near, far] = connectedPair();
    unread.take(near, one, 1);
    sendMessage(near, BYTE);
    unread.close(near, true);
    assertEquals(near.closed, false);
    receiveMessage(far, new Uint8Array(1));
    await until(() => near.closed);
    far.close();
    discardNow();
  });
});

Deno.test("no answer is too long for a share: it goes out as it is read", async () => {
  await leavesNoDescriptors(() => {
    const [near, far] = connectedPair();
    for (const user of [one, root]) {
      const unread = new Unread(BOUNDS);
      assertEquals(unread.take(near, user, 100_000), true);
    }
    assertEquals(new Unread(BOUNDS).atOnce(one), 2);
    const plenty = new Unread({ user: 5000, others: 5000, all: 9000 });
    for (const user of [one, root]) assertEquals(plenty.atOnce(user), 253);
    near.close();
    far.close();
  });
});
