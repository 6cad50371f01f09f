import { assertEquals } from "@std/assert";
import { connectedPair } from "../tests/support/connection.ts";
import { leavesNoDescriptors } from "../tests/support/descriptors.ts";
import { until } from "../tests/support/process_status.ts";
import { POLLIN } from "./constants.ts";
import { discard, discardAll, discardNow } from "./discard.ts";
import { receiveMessage, sendMessage } from "./fd_passing.ts";
import { createMemfd } from "./memfd.ts";
import { isReady } from "./poll.ts";

const byte = new Uint8Array(1);

Deno.test("what is discarded is closed, at the latest when it is told to be", async () => {
  await leavesNoDescriptors(async () => {
    for (let round = 0; round < 5; round++) {
      const [near, far] = connectedPair();
      using other = far;
      discard(near);
      assertEquals(near.closed, true, "nobody uses it any more");
      discardNow();
      // The other process ends in a millisecond, on a machine that has nothing else to do.
      await until(() => isReady(other, POLLIN));
      assertEquals(receiveMessage(other, byte)?.length, 0);
    }
    const memfd = createMemfd("a");
    discard(memfd);
    discard(memfd);
    assertEquals(memfd.closed, true);
  });
});

Deno.test("what lies in the queue of a socket that is discarded is closed with it", async () => {
  await leavesNoDescriptors(async () => {
    const [queue, sender] = connectedPair();
    const [inner, other] = connectedPair();
    sendMessage(sender, new Uint8Array([1]), [inner]);
    inner.close();
    sender.close();
    using end = other;
    assertEquals(isReady(end, POLLIN), false);
    discardAll([queue]);
    await until(() => isReady(end, POLLIN));
    assertEquals(receiveMessage(end, byte)?.length, 0);
  });
});
