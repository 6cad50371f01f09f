/** The poller of a test. */

import { POLLIN } from "../../ffi/constants.ts";
import { createMemfd } from "../../ffi/memfd.ts";
import type { Poller } from "../../ffi/poll.ts";

/**
 * Waits until the poller's call on another thread has returned. A wait that is cancelled ends sooner
 * than that, and Deno would blame the test for the call in flight.
 */
export async function settled(poller: Poller): Promise<void> {
  // A file is always ready: the poller finds that in its next round.
  using file = createMemfd("ready");
  await poller.wait(file, POLLIN);
}
