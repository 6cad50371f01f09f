/** The binder's config file: read at the start and again, and what is wrong in it. */

import { assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { multibinder, startBinder } from "../support/binder.ts";
import { ControlConnection } from "../support/control_client.ts";
import { site, startWrapper, tag } from "../support/haproxy.ts";
import { addressOf, get, newTarget } from "../support/http_client.ts";
import { tcpListeners } from "../support/process.ts";
import { runProgram } from "../support/program.ts";
import { openFolder, tempDir } from "../support/temp_dir.ts";
import { ignoreUnless, UNPRIVILEGED } from "../support/users.ts";

const newAddress = () => addressOf(newTarget());

/** A binder with a config file. */
async function configured(first: Record<string, unknown>) {
  await using cleanup = new AsyncDisposableStack();
  const path = cleanup.use(tempDir()).file("binder.toml");
  const write = (settings: Record<string, unknown>) => {
    const lines = Object.entries(settings).map(([name, value]) =>
      `${name} = ${JSON.stringify(value)}\n`
    );
    Deno.writeTextFileSync(path, lines.join(""));
  };
  write(first);
  const binder = cleanup.use(await startBinder([], { args: ["--config", path] }));
  const held = async () =>
    (await binder.waitFor(() => true)).sockets.map(({ address }) => address).toSorted();
  const reload = () => runProgram([multibinder(), "reload", "--sock", binder.sock]);
  const resources = cleanup.move();
  return {
    ...{ path, write, held, reload, sock: binder.sock, binder },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

Deno.test("a reload binds what is new, gives up what is gone, and touches nothing else", async () => {
  const [stays, goes, comes] = [newAddress(), newAddress(), newAddress()];
  await using site = await configured({ addresses: [stays, goes] });
  assertEquals(await site.held(), [stays, goes].toSorted());
  const inodes = async () => (await site.binder.waitFor(() => true)).sockets;
  const before = (await inodes()).find(({ address }) => address === stays);
  using client = await ControlConnection.open(site.sock);

  site.write({ addresses: [stays, comes], allow: ["127.0.0.1:1-9"] });
  const { code, stdout } = await site.reload();
  const said = `bound ${comes}; gave up ${goes}; changed who may connect, or ask for what\n`;
  assertEquals([code, stdout], [0, said]);
  assertEquals(await site.held(), [stays, comes].toSorted());
  assertEquals((await inodes()).find(({ address }) => address === stays)?.backlog, before?.backlog);
  // Nobody may ask any more for the address that is gone, and everybody for the new one.
  const ask = async (written: string) => {
    const [address = "", port] = written.split(":");
    const answer = await client.bind({ address, port: Number(port) });
    return answer?.error?.data?.code ?? answer?.result;
  };
  assertEquals([await ask(goes), await ask(comes)], ["EACCES", true]);
  assertStrictEquals((await site.reload()).stdout, "nothing has changed\n");

  // A successor has what the reload has made, and reads the file as well.
  const upgrade = await runProgram([multibinder(), "upgrade", "--sock", site.sock]);
  assertStrictEquals(upgrade.code, 0, upgrade.stderr);
  assertEquals([await ask(goes), await ask(stays)], ["EACCES", true]);
  site.write({ addresses: [stays] });
  site.binder.program.signal("SIGHUP");
  await site.binder.waitFor(({ sockets }) => sockets.length === 1);
  assertEquals(await ask(comes), "EACCES");
});

Deno.test("when one address cannot be bound, none is, and all is as before", async () => {
  const [old, free] = [newAddress(), newAddress()];
  await using site = await configured({ addresses: [old] });
  const { hostname } = newTarget();
  using other = Deno.listen({ hostname, port: 0 });
  const taken = `${hostname}:${other.addr.port}`;
  site.write({ addresses: [free, taken] });
  const { code, stderr } = await site.reload();
  assertStrictEquals(code, 1);
  assertMatch(stderr, new RegExp(`all is as before: ${taken}: the address is in use`));
  assertEquals(await site.held(), [old]);
});

Deno.test("an address that a connected wrapper uses is kept until that has gone", async () => {
  const target = newTarget();
  const address = addressOf(target);
  await using binder = await configured({ addresses: [address] });
  await using wrapper = await startWrapper(site(tag(target), "here"), { sock: binder.sock });
  binder.write({ addresses: [] });
  const { pid } = wrapper.program;
  assertMatch((await binder.reload()).stdout, new RegExp(`^kept ${address}: .* pid ${pid} `));
  assertEquals([await get(target), await binder.held()], ["here", [address]]);
});

Deno.test({
  name:
    "an address that a reload brings back is had from the wrapper that has kept it, all or none",
  ignore: ignoreUnless(Deno.uid() === 0, "to be several users needs root"),
  async fn() {
    using folder = openFolder();
    const [config, sock] = [folder.file("binder.toml"), folder.file("control.sock")];
    const target = newTarget();
    const [address, other] = [addressOf(target), `${target.hostname}:1080`];
    using stranger = Deno.listen({ hostname: target.hostname, port: 0 });
    const taken = `${target.hostname}:${stranger.addr.port}`;
    const write = (...addresses: string[]) =>
      Deno.writeTextFileSync(config, `addresses = ${JSON.stringify(addresses)}\n`);
    const reload = () => runProgram([multibinder(), "reload", "--sock", sock]);
    // As another user than root it may not copy a socket out of root's servers.
    const start = () =>
      startBinder([], {
        sock,
        through: UNPRIVILEGED,
        args: ["--config", config, "--mode", "0666"],
      });
    write(address);
    await using first = await start();
    const before = tcpListeners(first.program.pid);
    await using _wrapper = await startWrapper(site(tag(target), "here"), {
      sock,
      args: ["--binder-uid", "65534"],
    });
    await first.program.end("SIGKILL");
    write(other);
    await using next = await start();
    await next.waitFor(({ wrappers }) => wrappers.length === 1);
    const held = async () => (await next.waitFor(() => true)).sockets.map(({ address }) => address);

    write(address, other, taken);
    const { code, stderr } = await reload();
    assertStrictEquals(code, 1);
    assertMatch(stderr, new RegExp(`all is as before: ${taken}: the address is in use`));
    assertEquals(await held(), [other]);
    using client = await ControlConnection.open(sock);
    const { hostname, port } = target;
    const answer = await client.bind({ address: hostname, port });
    assertStrictEquals(answer?.error?.data?.code, "EACCES");

    write(address);
    assertStrictEquals((await reload()).stdout, `bound ${address}; gave up ${other}\n`);
    assertEquals(tcpListeners(next.program.pid), before);
    assertStrictEquals(await get(target), "here");
  },
});

Deno.test("what is wrong is said with its line, and changes nothing; an upgrade goes on", async () => {
  const address = newAddress();
  await using binder = await configured({ addresses: [address] });
  const check = () => runProgram([multibinder(), "bind", "--check", "--config", binder.path]);
  assertEquals([(await check()).code, (await check()).stdout], [
    0,
    "nothing is wrong; 1 address to hold\n",
  ]);
  const wrong: [settings: Record<string, unknown>, line: number, why: RegExp][] = [
    [{ backlog: 5, adresses: [] }, 2, /adresses is no setting; did you mean addresses\?/],
    [{ addresses: [":80", "80"] }, 1, /malformed address "80"/],
    [{ mode: "0660", "allow-uid": ["no-such-user"] }, 2, /there is no user "no-such-user"/],
    [{ backlog: 5, mode: "rw-" }, 2, /mode "rw-": it must be permission bits/],
  ];
  for (const [settings, line, why] of wrong) {
    binder.write(settings);
    for (const run of [check, binder.reload]) {
      const { code, stdout, stderr } = await run();
      assertEquals([code !== 0, stdout], [true, ""]);
      assertMatch(stderr, why);
      assertMatch(stderr, new RegExp(`${binder.path}:${line}: `));
    }
  }
  const upgrade = await runProgram([multibinder(), "upgrade", "--sock", binder.sock]);
  assertStrictEquals(upgrade.code, 0, upgrade.stderr);
  assertEquals(await binder.held(), [address]);
});

Deno.test("lists that are empty allow nothing, and a file that was emptied does not open a binder", async () => {
  const [one, other] = [newAddress(), newAddress()];
  await using site = await configured({ addresses: [one], "allow-gid": ["root"] });
  const may = async () => {
    using client = await ControlConnection.open(site.sock);
    const [address = "", port] = other.split(":");
    const answer = await client.bind({ address, port: Number(port) });
    return answer?.error?.data?.code ?? answer?.result;
  };
  site.write({});
  const { code, stderr } = await site.reload();
  assertStrictEquals(code, 1);
  assertMatch(stderr, /all is as before: it has no addresses and no allow any more/);
  assertEquals([await may(), await site.held()], ["EACCES", [one]]);
  for (const nothing of [{ addresses: [] }, { allow: [] }]) {
    site.write(nothing);
    assertStrictEquals((await site.reload()).code, 0);
    assertEquals([await may(), await site.held()], ["EACCES", []]);
    await using fresh = await startBinder([], { args: ["--config", site.path] });
    using client = await ControlConnection.open(fresh.sock);
    const answer = await client.bind({ address: "127.0.0.1", port: 1 });
    assertEquals(answer?.error?.data?.code, "EACCES", JSON.stringify(nothing));
  }
  site.write({ allow: ["*"] });
  assertStrictEquals((await site.reload()).code, 0);
  assertStrictEquals(await may(), true);
});

Deno.test("what is no file in the config's place is refused, and the binder serves on", async () => {
  const address = newAddress();
  await using site = await configured({ addresses: [address] });
  const places = [
    ["mkfifo", site.path],
    ["ln", "-s", "/dev/zero", site.path],
    ["ln", "-s", "/dev/ptmx", site.path],
    ["truncate", "-s", "1T", site.path],
  ] as const;
  for (const make of places) {
    Deno.removeSync(site.path);
    assertStrictEquals((await runProgram(make)).code, 0);
    const { code, stderr } = await site.reload();
    assertStrictEquals(code, 1);
    assertMatch(stderr, /all is as before: cannot read the config \S+: it is (a|longer) /);
    assertEquals(await site.held(), [address]);
  }
});

Deno.test("a binder without a config has nothing to reload", async () => {
  await using binder = await startBinder();
  const { code, stderr } = await runProgram([multibinder(), "reload", "--sock", binder.sock]);
  assertStrictEquals(code, 1);
  assertMatch(stderr, /this binder was started without --config/);
});
