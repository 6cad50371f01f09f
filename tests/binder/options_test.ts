/** Socket options: asked for on the command line, in requests and in templates; kept by the kernel. */

import { assert, assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import "../support/libc.ts";
import { acceptQueue, socketCookie } from "../../ffi/socket.ts";
import { ControlClient } from "../../src/control/client.ts";
import { splitAddress } from "../../src/sockets/address.ts";
import { expandAddresses } from "../../src/sockets/address_list.ts";
import { optionsOf } from "../../src/sockets/kernel_options.ts";
import { listeningAddress } from "../../src/sockets/listen.ts";
import { multibinder, startBinder } from "../support/binder.ts";
import { bindOnce } from "../support/control_client.ts";
import { site, startWrapper } from "../support/haproxy.ts";
import { addressOf, get } from "../support/http_client.ts";
import { runProgram } from "../support/program.ts";
import { freePort, loopbackHost, openFolder, tempDir } from "../support/temp_dir.ts";
import { ignoreUnless, UNPRIVILEGED } from "../support/users.ts";

/** What a socket of the binder's is: which one, its options, and the length of its queue. */
async function look(sock: string, text: string) {
  using client = ControlClient.connect(sock);
  const fds = await client.bind(expandAddresses(text).map(splitAddress));
  return fds.map((fd) => {
    using socket = fd;
    const address = listeningAddress(socket);
    assert(address !== undefined);
    return {
      cookie: socketCookie(socket),
      options: optionsOf(socket, address),
      limit: acceptQueue(socket).limit,
    };
  });
}

Deno.test("options of the command line are the socket's, in status too, and stay through an upgrade", async () => {
  using folder = tempDir();
  const [host, path] = [loopbackHost(), folder.file("site.sock")];
  const list = `${host}:80-81,backlog=321,mss=1400,defer-accept,${host}:82,unix:${path},mode=600`;
  await using binder = await startBinder([list]);
  const before = await look(binder.sock, `${host}:80,${host}:81,${host}:82`);
  const options = { mss: 1400, "defer-accept": true as const };
  assertEquals(before.map((one) => one.options), [options, options, {}]);
  assertEquals(before.map((one) => one.limit), [321, 321, 1000]);
  assertStrictEquals((Deno.lstatSync(path).mode ?? 0) & 0o777, 0o600);
  binder.program.signal("SIGUSR1");
  const { sockets } = await binder.waitFor(({ upgrades }) => upgrades === 1);
  assertEquals(sockets.map((one) => one.options), [options, options, undefined, undefined]);
  assertEquals(await look(binder.sock, `${host}:80,${host}:81,${host}:82`), before);
});

Deno.test("a live socket takes what it can, and what it cannot is refused with what to do", async () => {
  const address = loopbackHost();
  await using binder = await startBinder();
  const ask = (options: Record<string, unknown>) =>
    bindOnce(binder.sock, { address, port: 80, options });
  assertStrictEquals((await ask({})).result, true);
  assertStrictEquals((await ask({ mss: 1300, tfo: true })).result, true);
  const [held] = await look(binder.sock, `${address}:80`);
  assertEquals(held?.options, { mss: 1300, tfo: true });
  const { error } = await ask({ mptcp: true });
  assertStrictEquals(error?.data?.code, "EBUSY");
  assertMatch(error.message, /:80: it is held without mptcp, .* \(multibinder unbind\)/);
  assertMatch((await ask({ mss: 1 })).error?.message ?? "", /params\[0\]\.options: mss must be/);
  assertMatch((await ask({ foo: 1 })).error?.message ?? "", /there is no option foo; there are/);
  const nowhere = await bindOnce(binder.sock, {
    address,
    port: 81,
    options: { interface: "nosuch0" },
  });
  assertMatch(
    nowhere.error?.message ?? "",
    /refuses interface=nosuch0: there is no such network interface \(ENODEV\)/,
  );
});

Deno.test("sockets that share an address: a descriptor each, for a template too, through upgrade and unbind", async () => {
  const target = { hostname: loopbackHost(), port: freePort() };
  const text = addressOf(target);
  await using binder = await startBinder();
  const template = site(`<%= bind('${text}', { reuseport: 3 }) %>`, "ok");
  await using wrapper = await startWrapper(template, { sock: binder.sock });
  assertMatch(
    Deno.readTextFileSync(wrapper.folder.file("site.cfg")),
    /^bind fd@3,fd@4,fd@5$/m,
  );
  for (let count = 0; count < 20; count++) assertStrictEquals(await get(target), "ok");
  const before = await look(binder.sock, `${text},reuseport=3`);
  assertStrictEquals(new Set(before.map(({ cookie }) => cookie)).size, 3);
  binder.program.signal("SIGUSR1");
  const { sockets } = await binder.waitFor(({ upgrades }) => upgrades === 1);
  assertEquals(
    sockets.map((one) => one.address),
    [1, 2, 3].map((number) => `${text},reuseport=${number}/3`),
  );
  assertEquals(await look(binder.sock, `${text},reuseport=3`), before);

  wrapper.template = site(`<%= bind('${text}') %>`, "ok");
  const { ok, message } = await wrapper.reload();
  assertStrictEquals(ok, false);
  assertMatch(message, new RegExp(`it overlaps ${text},reuseport=1/3, which is held already`));
  assertStrictEquals(await get(target), "ok");
  await wrapper.program.end("SIGTERM");
  const unbind = [multibinder(), "unbind", "--sock", binder.sock, `${text},reuseport=3`] as const;
  assertStrictEquals((await runProgram(unbind)).code, 0);
  assertEquals((await binder.waitFor(() => true)).sockets, []);
});

Deno.test({
  name:
    "an option that the kernel refuses ends the start, and is named with the reason and what it takes",
  ignore: ignoreUnless(Deno.uid() === 0, "only root can lack what it has, and makes networks"),
  async fn() {
    using folder = openFolder();
    const off = 'ip link set lo up; echo 0 >/proc/sys/net/mptcp/enabled; exec "$0" "$@"';
    const cases: [option: string, through: readonly string[], why: RegExp][] = [
      ["mark=7", UNPRIVILEGED, /refuses mark=7: that needs root.* \(EPERM\)$/m],
      ["mptcp", ["unshare", "--net", "sh", "-c", off], /refuses mptcp: .*\(ENOPROTOOPT\)$/m],
    ];
    for (const [option, through, why] of cases) {
      const [file = "", ...words] = [...through, multibinder(), "bind"];
      const args = ["--sock", folder.file("sock"), `${loopbackHost()}:61080,${option}`];
      const { code, stderr } = await runProgram([file, ...words, ...args]);
      assertStrictEquals(code, 1, stderr);
      assertMatch(stderr, why);
    }
  },
});
