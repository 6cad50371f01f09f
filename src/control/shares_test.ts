import { assertStrictEquals } from "@std/assert";
import { connectedPair } from "../../tests/support/connection.ts";
import { Poller } from "../../ffi/poll.ts";
import { Channel } from "./channel.ts";
import { Shares } from "./shares.ts";

Deno.test("a client that was closed as its first request came is no error", () => {
  const [near, far] = connectedPair();
  const channel = new Channel(near, new Poller());
  const client = {
    channel,
    peer: { pid: 1, uid: 2, gid: 3, groups: [] },
    busy: false,
    answered: false,
    served: true,
    kept: 0,
    keptFds: 0,
    id: 4,
    user: { uid: 2, trusted: false },
  };
  const shares = new Shares();
  shares.dismiss(client);
  shares.begin(client);
  assertStrictEquals(near.closed, true);
  far.close();
});
