/** Sockets that nothing uses any more are given up, if the binder was told to. */

import { assertEquals, assertMatch } from "@std/assert";
import { startBinder } from "../support/binder.ts";
import { bindOnce, startPython } from "../support/control_client.ts";
import { loopbackHost } from "../support/temp_dir.ts";
import { ignoreUnless } from "../support/users.ts";
import type { BinderStatus } from "../support/status.ts";

Deno.test({
  name:
    "a socket that a client has asked for and nobody uses is given up, its own are not, nor those in use",
  ignore: ignoreUnless(
    Deno.uid() === 0 && Deno.readLinkSync("/proc/self/ns/pid") === "pid:[4026531836]",
    "not every process can be seen from here",
  ),
  async fn() {
    const address = loopbackHost();
    const args = ["--release-unused", "300ms", "--allow", `${address}:*`];
    await using binder = await startBinder([`${address}:1`], { args });
    const used = JSON.stringify([{ address, port: 2 }]);
    await using server = await startPython("serve", binder.sock, used);
    const held = ({ sockets }: BinderStatus) => sockets.map((one) => one.address);
    await binder.waitFor((status) => held(status).length === 2);
    // Once the second of these is given up, the others would have been as well.
    for (const port of [3, 4]) {
      await bindOnce(binder.sock, { address, port });
      await binder.waitFor((status) => !held(status).includes(`${address}:${port}`));
    }
    assertEquals(held(await binder.waitFor(() => true)), [`${address}:1`, `${address}:2`]);
    assertMatch(
      binder.program.stderr,
      /gave up a socket that nothing uses address=\S+:3 unused=.+ waiting=0/,
    );
    const connection = await Deno.connect({ hostname: address, port: 2 });
    await connection.write(new TextEncoder().encode("there"));
    assertMatch(await new Response(connection.readable).text(), /^hello there$/);
    await server.exited;
    await binder.waitFor((status) => held(status).length === 1);
  },
});

Deno.test({
  name:
    "in a container, where a server may be one that cannot be seen, nothing is given up, and that is said",
  ignore: ignoreUnless(Deno.uid() === 0, "only root makes pid namespaces"),
  async fn() {
    const address = loopbackHost();
    const through = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
    const args = ["--release-unused", "100ms"];
    await using binder = await startBinder([], { through, args });
    // The client ends outside: whether it has given the socket to somebody, nobody in there can know.
    await bindOnce(binder.sock, { address, port: 1 });
    await binder.program.waitFor(
      / warn keeping sockets that nothing seems to use: not every process/,
    );
    const { sockets } = await binder.waitFor(() => true);
    assertEquals(sockets.map((one) => one.address), [`${address}:1`]);
  },
});
