/** Users who may hand sockets back: what they send and keep is bounded, and what they claim is checked. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Binder, startBinder } from "../support/binder.ts";
import { bindOnce, ControlConnection } from "../support/control_client.ts";
import { openFds } from "../support/process.ts";
import { type Program, startProgram } from "../support/program.ts";
import { binderStatus } from "../support/status.ts";
import { loopbackHost } from "../support/temp_dir.ts";
import { ignoreUnless } from "../support/users.ts";

const ignore = ignoreUnless(Deno.uid() === 0, "to be another user needs root");
const SCRIPT = new URL("../support/adopter.py", import.meta.url).pathname;
const ADOPTER = "65532";

interface Scene extends AsyncDisposable {
  binder: Binder;
  address: string;
  /** What the adopter has found. */
  found: string[];
}

/** A binder with few descriptors, and an adopter who has done what `mode` says. */
async function scene(mode: string): Promise<Scene> {
  await using cleanup = new AsyncDisposableStack();
  const address = loopbackHost();
  const binder = cleanup.use(
    await startBinder([`${address}:80`], {
      args: ["--mode", "0666", "--adopt-uid", ADOPTER, "--allow", "*"],
      through: ["prlimit", "--nofile=4096"],
    }),
  );
  const adopter: Program = cleanup.use(
    startProgram(["python3", SCRIPT, binder.sock, ADOPTER, mode, address], { stdin: "piped" }),
  );
  const [, words = ""] = await adopter.waitFor(/^done (.*)/);
  const resources = cleanup.move();
  const found = words.split(" ");
  return { binder, address, found, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

/** Asserts that root is served, on a new connection. */
async function rootIsServed({ binder, address }: Scene): Promise<void> {
  using connection = await ControlConnection.open(binder.sock);
  assertEquals((await connection.bind({ address, port: 80 }))?.result, true);
}

Deno.test({
  name: "connections that stay are bounded for a user",
  ignore,
  async fn() {
    await using all = await scene("stay");
    assertEquals(all.found, ["64", "EAGAIN"]);
    await rootIsServed(all);
  },
});

Deno.test({
  name: "sockets of requests that never end are bounded for a user",
  ignore,
  async fn() {
    await using all = await scene("unfinished");
    await rootIsServed(all);
    assert(openFds(all.binder.program.pid).size < 2048, "half of its limit");
    await rootIsServed(all);
  },
});

Deno.test({
  name: "what such users tell of themselves is bounded, since each status has it",
  ignore,
  async fn() {
    await using all = await scene("report");
    assertEquals(all.found, ["0", "64"]);
    const length = JSON.stringify(await binderStatus(all.binder.sock)).length;
    assert(length < 64 * 16_384, `a status has ${length} characters`);
  },
});

Deno.test({
  name: "a socket that is refused is nobody's: the status names no holder, and it can be given up",
  ignore,
  async fn() {
    await using all = await scene("claim");
    const { address, binder } = all;
    assertMatch(all.found.join(" "), /^refused: .* refused: /);
    assertEquals((await bindOnce(binder.sock, { address, port: 2081 })).result, true);
    const { sockets } = await binderStatus(binder.sock);
    assertEquals(sockets.flatMap(({ holders }) => holders), []);
    using connection = await ControlConnection.open(binder.sock);
    const params = [{ address, port: 2081 }];
    await connection.send(JSON.stringify({ id: 1, method: "unbind", params }));
    assertEquals((await connection.receive())?.result, [`${address}:2081`]);
  },
});
