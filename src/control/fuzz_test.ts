import { assert, assertNotMatch } from "@std/assert";
import fc from "fast-check";
import { createMemfd } from "../../ffi/memfd.ts";
import { Poller } from "../../ffi/poll.ts";
import { ignoreIfEmulated } from "../../tests/support/emulated.ts";
import { leavesNoDescriptors } from "../../tests/support/descriptors.ts";
import { assertAnswer, AT_ONCE, CASES, conversations, converse } from "../../tests/support/fuzz.ts";
import { settled } from "../../tests/support/poller.ts";
import { isServed, LONG, serve } from "../../tests/support/server_scene.ts";
import { resolveAddress } from "../sockets/address.ts";
import { UserError } from "../errors.ts";
import { parseBindParams, RPC, RpcError } from "./messages.ts";
import type { Handler } from "./handler.ts";

const poller = new Poller();

/** Reads every request as far as it can be read without an effect; numeric addresses alone. */
const handle: Handler = ({ method, params }) => {
  if (method === "echo") return Promise.resolve({ result: params, fds: [] });
  const numeric = parseBindParams(params).filter(({ address }) => /^[0-9.:]*$/.test(address));
  try {
    for (const param of numeric) void resolveAddress(param);
  } catch (error) {
    if (error instanceof UserError) throw new RpcError(RPC.couldNotBind, error.message);
    throw error;
  }
  return Promise.resolve({ result: numeric.length, fds: [] });
};

const brief = ignoreIfEmulated("properties run only briefly");
const TITLE = `whatever ${CASES} clients send, each answer is one, and the others are served`;

Deno.test(TITLE, brief, async () => {
  await leavesNoDescriptors(async () => {
    using gift = createMemfd("gift");
    await using scene = serve(handle, { clients: 2 * AT_ONCE, idle: LONG });
    const honest = scene.connect();
    let held = 0, answers = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(conversations, { minLength: AT_ONCE, maxLength: AT_ONCE }),
        async (crowd) => {
          const outcomes = crowd.map((each) => converse(scene.path, each, gift, poller));
          for (const line of (await Promise.all(outcomes)).flat()) {
            assertAnswer(line);
            answers++;
          }
          held += crowd.length;
          await isServed(honest);
        },
      ),
      { numRuns: Math.ceil(CASES / AT_ONCE), endOnFailure: true },
    );
    assert(held >= CASES && answers > 0);
    assertNotMatch(scene.log.join(""), / error |at .*\.ts:/);
    scene.log.length = 0;
    await settled(poller);
  });
});
