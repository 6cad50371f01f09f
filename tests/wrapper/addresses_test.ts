/** Addresses in bind calls, written as in HAProxy's own bind lines. */

import { assert, assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import "../support/libc.ts";
import { startBinder } from "../support/binder.ts";
import { site, startWrapper, tag, Wrapper } from "../support/haproxy.ts";
import { get, Load, newTarget } from "../support/http_client.ts";

Deno.test("a list and a range of ports give a socket each", async () => {
  await using binder = await startBinder();
  const { hostname, port } = newTarget();
  const list = `${hostname}:${port}-${port + 2},ipv4@${hostname}:${port + 7}`;
  await using wrapper = await startWrapper(site(`<%= bind('${list}') %>`, "ok"), {
    sock: binder.sock,
  });
  const rendered = Deno.readTextFileSync(wrapper.folder.file("site.cfg"));
  assertMatch(rendered, /^bind fd@3,fd@4,fd@5,fd@6$/m);
  for (const each of [port, port + 1, port + 2, port + 7]) {
    assertStrictEquals(await get({ hostname, port: each }), "ok");
  }
});

Deno.test("an address that cannot be handed over is refused, with file and line", async () => {
  await using wrapper = new Wrapper(site("<%= bind('quic4@:443') %>", "ok"), {});
  await wrapper.program.exited;
  assertMatch(wrapper.program.stderr, /site\.cfg\.eta:8: .*QUIC listener cannot be inherited/);
});

Deno.test("a frontend on an abstract name is reloaded under load and loses nothing", async () => {
  await using binder = await startBinder();
  const target = newTarget();
  const name = crypto.randomUUID();
  const template = (reply: string) =>
    site(`<%= bind('abns@${name}') %> accept-proxy`, reply, {
      rest: [
        "frontend outer",
        `bind ${tag(target)}`,
        "default_backend inner",
        "backend inner",
        `server inner abns@${name} send-proxy-v2`,
      ],
    });
  await using wrapper = await startWrapper(template("first"), { sock: binder.sock });
  assertStrictEquals(await get(target), "first");
  await using load = new Load(target, { workers: 2 });
  for (const reply of ["second", "third"]) {
    wrapper.template = template(reply);
    assertStrictEquals((await wrapper.reload()).ok, true);
    assertStrictEquals(await get(target), reply);
  }
  const { failures, ok } = await load.stop();
  assertEquals(failures, []);
  assert(ok > 0);
});
