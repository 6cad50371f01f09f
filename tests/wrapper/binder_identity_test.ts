/** Who answers at the binder's control socket: the binder, or a stranger who listens at its path. */

import { assert, assertMatch, assertStrictEquals } from "@std/assert";
import { multibinder, startBinder } from "../support/binder.ts";
import { site, startWrapper, tag } from "../support/haproxy.ts";
import { get } from "../support/http_client.ts";
import { processStatus, until } from "../support/process_status.ts";
import { type Program, runProgram, startProgram } from "../support/program.ts";
import { freePort, loopbackHost, openFolder } from "../support/temp_dir.ts";
import { ignoreUnless, UNPRIVILEGED } from "../support/users.ts";

const ignore = ignoreUnless(Deno.uid() === 0, "to be another user needs root");
const IMPOSTOR = new URL("../support/impostor.py", import.meta.url).pathname;
const THIEF = new URL("../support/thief.py", import.meta.url).pathname;

/** A stranger who listens at a path, with a socket of its own to hand out. */
async function startThief(sock: string, port: number): Promise<Program> {
  const words = ["env", "PATH=/usr/bin:/bin", "python3", THIEF, sock, "127.0.0.1", String(port)];
  const [first = "", ...rest] = [...UNPRIVILEGED, ...words];
  const thief = startProgram([first, ...rest]);
  await thief.waitFor(/^listening$/);
  return thief;
}

Deno.test({
  name: "while a stranger listens at the path, root's wrapper gives it nothing and takes nothing",
  ignore,
  async fn() {
    using folder = openFolder();
    const sock = folder.file("control.sock");
    const target = { hostname: loopbackHost(), port: 80 };
    const planted = { hostname: "127.0.0.1", port: freePort() };
    await using binder = await startBinder([], { sock });
    await using wrapper = await startWrapper(site(tag(target), "first"), { sock });
    await binder.program.end("SIGTERM");
    {
      await using thief = await startThief(sock, planted.port);
      await wrapper.waitFor(({ binder }) => binder?.connected === false);
      wrapper.template = site(tag(target), "second");
      assertStrictEquals((await wrapper.reload()).ok, true);
      // The generation before may still accept for a moment.
      await until(async () => await get(target) === "second");
      // A new address must come from the binder, and is not taken from a stranger.
      wrapper.template = site([tag(target), tag(planted)], "third");
      const { ok, message } = await wrapper.reload();
      assertStrictEquals(ok, false);
      assertMatch(message, /uid 65534/);
      assertStrictEquals(thief.stdout, "listening\n", "it got not a byte");
      assertMatch(processStatus(thief.pid, "Uid") ?? "", /^65534/);
    }
    Deno.removeSync(sock);
    wrapper.template = site(tag(target), "fourth");
    await using _next = await startBinder([], { sock });
    await wrapper.waitFor(({ binder }) => binder?.connected ?? false);
    await wrapper.reload();
    await until(async () => await get(target) === "fourth");
  },
});

Deno.test({
  name: "nothing is started on a stranger's sockets, unless it is named as the binder's user",
  ignore,
  async fn() {
    using folder = openFolder();
    const sock = folder.file("control.sock");
    const target = { hostname: "127.0.0.1", port: freePort() };
    await using thief = await startThief(sock, target.port);
    const template = folder.file("site.cfg.eta");
    Deno.writeTextFileSync(template, site(tag(target), "site"));
    const asked = { hostname: "127.0.0.1", port: freePort() };
    const other = folder.file("other.cfg.eta");
    Deno.writeTextFileSync(other, site(tag(asked), "site"));
    const render = (file: string, ...args: string[]) =>
      runProgram([multibinder(), "render", "--strict", "--sock", sock, ...args, file]);
    const env = { MULTIBINDER_BINDER_UID: "nobody" };

    const refused = await render(template);
    assertStrictEquals(refused.code, 1);
    assertMatch(
      refused.stderr,
      /uid 65534 .* answers at .* as pid \d+: neither root nor this user/,
    );
    assertStrictEquals(thief.stdout, "listening\n");

    const trusted = await render(template, "--binder-uid", "65534");
    assertStrictEquals(trusted.code, 0, trusted.stderr);
    assertMatch(trusted.stdout, /^bind fd@3$/m);
    const byName = await runProgram(
      [multibinder(), "render", "--strict", "--sock", sock, template],
      { env },
    );
    assertStrictEquals(byName.code, 0, byName.stderr);

    const wrong = await render(other, "--binder-uid", "nobody");
    assertStrictEquals(wrong.code, 1);
    const sent = `sent a socket of 127.0.0.1:${target.port}; it is not used`;
    assert(wrong.stderr.includes(sent), wrong.stderr);
    const unknown = await render(other, "--binder-uid", "no-such-user");
    assertStrictEquals(unknown.code, 2);
    assertMatch(unknown.stderr, /there is no user "no-such-user"/);
  },
});

Deno.test({
  name: "descriptors whose close waits do not stop root's wrapper, which tries again and again",
  ignore,
  async fn() {
    using folder = openFolder();
    const sock = folder.file("control.sock");
    const target = { hostname: loopbackHost(), port: 80 };
    await using binder = await startBinder([], { sock });
    await using wrapper = await startWrapper(site(tag(target), "first"), { sock });
    await binder.program.end("SIGTERM");
    const words = ["python3", IMPOSTOR, sock, "65534", "{}", "gifts"] as const;
    await using impostor = startProgram(words);
    await impostor.waitFor(/^sent$/, 3);
    await wrapper.waitFor(({ binder }) => binder?.connected === false);
    assertStrictEquals(await get(target), "first");
  },
});
