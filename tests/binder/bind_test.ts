/** The binder over its control socket: the protocol, the addresses, the policy. */

import {
  assert,
  assertEquals,
  assertMatch,
  assertNotMatch,
  assertRejects,
  assertStrictEquals,
  fail,
} from "@std/assert";
import "../support/libc.ts";
import { socketCookie } from "../../ffi/socket.ts";
import { ControlClient } from "../../src/control/client.ts";
import { isAbsent } from "../../src/control/client_errors.ts";
import type { AddressParts } from "../../src/sockets/address.ts";
import { multibinder, startBinder } from "../support/binder.ts";
import {
  bindOnce,
  type BindParam,
  bindRequest,
  callFromPython,
  startPython,
} from "../support/control_client.ts";
import { listeningSockets, socketInodes } from "../support/process.ts";
import { until } from "../support/process_status.ts";
import { startProgram } from "../support/program.ts";
import type { BinderStatus } from "../support/status.ts";
import { freePort, loopbackHost, tempDir } from "../support/temp_dir.ts";
import { waitForStatus } from "../support/wait_for_status.ts";

Deno.test("a client of the original gets the binder's own socket and accepts from it", async () => {
  const address = loopbackHost();
  await using binder = await startBinder();
  const params = JSON.stringify([{ address, port: 8000, backlog: 1000 }]);
  await using python = await startPython("serve", binder.sock, params);
  const [line] = await python.waitFor(/^.*sockets.*$/);
  const [{ inode, name, listening }] = JSON.parse(line).sockets;
  assertEquals({ name, listening }, { name: [address, 8000], listening: true });
  assert(socketInodes(binder.program.pid).includes(inode), "the binder holds the same socket");

  using connection = await Deno.connect({ hostname: address, port: 8000 });
  await connection.write(new TextEncoder().encode("world"));
  assertStrictEquals(await new Response(connection.readable).text(), "hello world");
});

Deno.test("the original's messages are answered as the original did", async () => {
  const address = loopbackHost();
  await using binder = await startBinder();
  const [one, two, unknown, failed, again] = await callFromPython(
    binder.sock,
    `{"jsonrpc":"2.0","method":"bind","id":"7b0c","params":[{"address":"${address}","port":2080}]}`,
    `{"jsonrpc":"2.0","method":"bind","id":2,"params":[{"address":"${address}","port":"2081"},` +
      `{"address":"${address}","port":2082}]}`,
    '{"jsonrpc":"2.0","method":"rebind","id":"x","params":[]}',
    bindRequest({ address: "203.0.113.1", port: 2080 }),
    bindRequest({ address, port: 2080, backlog: 5 }),
  );
  assert(one !== undefined && two !== undefined);
  assertEquals(one.answer, { jsonrpc: "2.0", id: "7b0c", result: true });
  assertStrictEquals(one.sockets.length, 1);
  assertEquals(two.answer, {
    jsonrpc: "2.0",
    id: 2,
    result: [`${address}:2081`, `${address}:2082`],
  });
  assertEquals(two.sockets.map(({ name }) => name), [[address, 2081], [address, 2082]]);
  assertStrictEquals(unknown?.answer.error?.code, -32601);
  assertStrictEquals(failed?.answer.error?.code, 10000);
  assertMatch(
    failed.answer.error.message,
    /^Could not bind: 203\.0\.113\.1:2080: .*EADDRNOTAVAIL/,
  );
  assertEquals(failed.answer.error.data, {
    code: "EADDRNOTAVAIL",
    address: "203.0.113.1:2080",
  });
  assertEquals(again?.sockets, one.sockets, "the same socket on the same connection");
});

Deno.test("requests that name no valid address are refused, and say which", async () => {
  await using binder = await startBinder();
  const refusals: [unknown, number, RegExp][] = [
    [{ method: "bind" }, -32602, /params must be a list/],
    [{ method: "bind", params: [] }, -32602, /at least one/],
    [{ method: "bind", params: [{ address: "::1" }] }, -32602, /params\[0\]\.port/],
    [{ method: "bind", params: [{ address: 1, port: 1 }] }, -32602, /params\[0\]\.address/],
    [{ method: "bind", params: [{ address: "", port: 70000 }] }, -32602, /params\[0\]\.port/],
    [{ method: "bind", params: [{ address: "", port: 1, backlog: -1 }] }, -32602, /backlog/],
    [{ method: "bind", params: [{ address: "a b", port: 2080 }] }, 10000, /malformed address/],
    [{ method: "bind", params: [{ address: "1.2.3", port: 2080 }] }, 10000, /not an IPv4 address/],
    [{ method: "bind", params: [{ address: "::1", port: 0 }] }, 10000, /must name a port/],
    [{ method: 1 }, -32600, /method must be a string/],
    [{ method: "bind", id: [] }, -32600, /id must be/],
  ];
  const answers = await callFromPython(binder.sock, ...refusals.map(([it]) => JSON.stringify(it)));
  refusals.forEach(([request, code, message], index) => {
    const { error } = answers[index]?.answer ?? {};
    assertStrictEquals(error?.code, code, JSON.stringify(request));
    assertMatch(error.message, message);
  });
});

Deno.test("1000 addresses come in one answer, all or none", async () => {
  const address = loopbackHost();
  await using binder = await startBinder();
  const many = Array.from({ length: 1000 }, (_, index) => ({ address, port: 3000 + index }));
  const broken = many.with(900, { address: "203.0.113.1", port: 2080 });
  const [refused] = await callFromPython(binder.sock, bindRequest(...broken));
  assertMatch(refused?.answer.error?.message ?? "", /203\.0\.113\.1:2080/);
  const left = listeningSockets(binder.program.pid).map(({ table }) => table);
  assertEquals(left, ["unix"], "none is left bound");

  const [all] = await callFromPython(binder.sock, bindRequest(...many));
  assert(all !== undefined);
  assertEquals<unknown[]>(
    all.sockets.map(({ name }) => name),
    many.map(({ port }) => [address, port]),
  );
  assertStrictEquals(new Set(all.sockets.map(({ inode }) => inode)).size, 1000);
});

Deno.test("one address is one socket, however and by whom it is written", async () => {
  const [v4, v6, dual, named] = [freePort(), freePort(), freePort(), freePort()];
  using folder = tempDir();
  const path = folder.file("site.sock");
  await using binder = await startBinder([`:${v4}`, `[::1]:${v6}`, `unix:${path}`], {
    args: ["--allow", "*"],
  });
  const same: [BindParam, BindParam][] = [
    [{ address: "*", port: v4 }, { address: "0.0.0.0", port: v4 }],
    [{ address: "::1", port: v6 }, { address: "[0:0:0:0:0:0:0:1]", port: String(v6) }],
    [{ address: "[::]", port: dual, options: { v4v6: true } }, {
      address: "::",
      port: dual,
      options: { v4v6: true },
    }],
    [{ address: "localhost", port: named }, { address: "LOCALHOST", port: named }],
    [{ address: `unix:${path}` }, { address: `unix:${path}` }],
    [{ address: "udp:127.0.0.1", port: v4 }, { address: "udp:127.0.0.1", port: v4 }],
  ];
  const sockets = await Promise.all(same.map(async (pair) => {
    const answers = pair.map((param) => callFromPython(binder.sock, bindRequest(param)));
    const [first, second] = (await Promise.all(answers)).flat();
    assertStrictEquals(first?.sockets.length, 1, JSON.stringify(first?.answer));
    assertEquals(second?.sockets, first.sockets);
    return first.sockets[0];
  }));
  const kinds = sockets.map((socket) => `${socket?.family} ${socket?.type} ${socket?.name}`);
  assertEquals(kinds.slice(0, 3), [
    `AF_INET SOCK_STREAM 0.0.0.0,${v4}`,
    `AF_INET6 SOCK_STREAM ::1,${v6}`,
    `AF_INET6 SOCK_STREAM ::,${dual}`,
  ]);
  assertEquals(kinds.slice(4), [
    `AF_UNIX SOCK_STREAM ${path}`,
    `AF_INET SOCK_DGRAM 127.0.0.1,${v4}`,
  ]);
});

Deno.test("port 0 on the command line is a port that the kernel chooses, and clients may ask for it", async () => {
  await using binder = await startBinder([":0", "[::1]:0", "[::]:0,v4v6"]);
  const held = binder.program.stderr.matchAll(/holding address=(\S+):([1-9]\d*)(,v4v6)? /g);
  const params = [...held].map(([, address = "", port = "", both]) => {
    return { address, port, options: { v4v6: both !== undefined } };
  });
  assertEquals(params.map(({ address }) => address), ["0.0.0.0", "[::1]", "[::]"]);
  const answer = await bindOnce(binder.sock, ...params);
  assertStrictEquals((answer.result as unknown[]).length, 3, JSON.stringify(answer));
});

Deno.test("a dual-stack socket serves both families, the IPv6 one and a star only their own", async () => {
  await using binder = await startBinder(["[::]:0,v4v6", "[::]:0", "*:0"]);
  const held = binder.program.stderr.matchAll(/holding address=\S+:(\d+)(?:,v4v6)? /g);
  const [dual = 0, v6 = 0, star = 0] = [...held]
    .map(([, port]) => Number(port));
  for (const hostname of ["127.0.0.1", "::1"]) {
    (await Deno.connect({ hostname, port: dual })).close();
  }
  (await Deno.connect({ hostname: "::1", port: v6 })).close();
  await assertRejects(() => Deno.connect({ hostname: "127.0.0.1", port: v6 }), Error, /refused/);
  (await Deno.connect({ hostname: "127.0.0.1", port: star })).close();
  await assertRejects(() => Deno.connect({ hostname: "::1", port: star }), Error, /refused/);
});

Deno.test("a binder for a star takes the socket for both families back that somebody still has", async () => {
  const port = freePort();
  const star = { address: "*", port };
  const both = { address: "[::]", port, options: { v4v6: true as const } };
  using folder = tempDir();
  const sock = folder.file("sock");
  const ask = async (param: AddressParts) => {
    using client = ControlClient.connect(sock);
    const [fd] = await client.bind([param]);
    return fd ?? fail("no socket");
  };
  const before = await startBinder([`[::]:${port},v4v6`], { sock });
  using kept = await ask(both);
  await before[Symbol.asyncDispose]();

  const starting = startBinder([`*:${port}`], { sock });
  await until(async () => {
    try {
      using client = ControlClient.connect(sock);
      assertEquals(await client.adopt([star], [kept]), ["adopted"]);
      return true;
    } catch (error) {
      if (isAbsent(error)) return false;
      throw error;
    }
  });
  await using binder = await starting;
  for (const upgrades of [0, 1]) {
    if (upgrades > 0) binder.program.signal("SIGUSR1");
    const status = await binder.waitFor((one) => one.upgrades === upgrades);
    assertEquals(status.sockets.map(({ address }) => address), [`[::]:${port},v4v6`]);
    assertEquals(status.missing, []);
    for (const param of [star, both]) {
      using fd = await ask(param);
      assertStrictEquals(socketCookie(fd), socketCookie(kept));
    }
  }
});

Deno.test("clients get the addresses of the command line and what --allow adds, or any without either", async () => {
  const host = loopbackHost();
  const ask = async (sock: string, ...ports: number[]) => {
    const answers = ports.map((port) => bindOnce(sock, { address: host, port }));
    return (await Promise.all(answers)).map(({ error }) => error?.data?.code ?? "ok");
  };
  {
    await using binder = await startBinder([`${host}:2080`]);
    assertEquals(await ask(binder.sock, 2080, 2081), ["ok", "EACCES"]);
    const both = await bindOnce(binder.sock, { address: host, port: 2080 }, {
      address: host,
      port: 2081,
    });
    assertMatch(both.error?.message ?? "", /:2081: not allowed by this binder.*--allow/);
  }
  {
    const args = ["--allow", `${host}:8000-8009`, "--allow", "*:2443"];
    await using binder = await startBinder([`${host}:2080`], { args });
    const got = await ask(binder.sock, 2080, 2443, 7999, 8000, 8009, 8010);
    assertEquals(got, ["ok", "ok", "EACCES", "ok", "ok", "EACCES"]);
  }
  {
    // Patterns limit what clients may ask for without an address on the command line, too.
    await using binder = await startBinder([], { args: ["--allow", `${host}:8000-8009`] });
    assertEquals(await ask(binder.sock, 8000, 8010, 2080), ["ok", "EACCES", "EACCES"]);
  }
  {
    await using binder = await startBinder();
    assertEquals(await ask(binder.sock, 2080, 2443), ["ok", "ok"]);
  }
});

Deno.test("a name is looked up once: afterwards the address is the socket", async () => {
  const port = freePort();
  await using binder = await startBinder([`localhost:${port}`]);
  const { sockets } = await binder.waitFor(() => true);
  const held = sockets[0]?.address.replace(/:\d+$/, "") ?? "";
  const answers = await Promise.all(
    ["localhost", held].map((address) =>
      callFromPython(binder.sock, bindRequest({ address, port }))
    ),
  );
  assertEquals(answers[0]?.[0]?.sockets, answers[1]?.[0]?.sockets);
});

Deno.test("the backlog is the request's, else the binder's, and only grows", async () => {
  const address = loopbackHost();
  await using binder = await startBinder([`${address}:2080`], { args: ["--backlog", "7"] });
  const lengths = [];
  for (const backlog of [undefined, 5, 9, 6]) {
    const request = bindRequest({ address, port: 2080, ...(backlog && { backlog }) });
    lengths.push((await callFromPython(binder.sock, request))[0]?.sockets[0]?.backlog);
  }
  assertEquals(lengths, [7, 7, 9, 9]);
});

Deno.test("a binder stops when told to while an address of its own is in use", async () => {
  using folder = tempDir();
  using stranger = Deno.listen({ hostname: loopbackHost(), port: 0 });
  const [sock, site] = [folder.file("control.sock"), folder.file("site.sock")];
  const { hostname, port } = stranger.addr;
  const words = [multibinder(), "bind", "--sock", sock] as const;
  await using program = startProgram([...words, `unix:${site}`, `${hostname}:${port}`]);
  await waitForStatus<BinderStatus>(
    program,
    sock,
    ({ missing }) => missing.includes(`${hostname}:${port}`),
  );
  assertEquals(await program.end("SIGTERM"), { code: 0, signal: null });
  assertMatch(program.stderr, / info stopping signal=SIGTERM\n$/);
  assertEquals([...Deno.readDirSync(folder.path)], []);
});

Deno.test("the log as JSON is one object a line, and holds nothing of the environment", async () => {
  const address = loopbackHost();
  await using binder = await startBinder([`${address}:2080`], {
    args: ["--log-format=json", "--log-level=debug"],
    env: { PASSWORD: "correct horse" },
  });
  await bindOnce(binder.sock, { address, port: 2080 });
  await bindOnce(binder.sock, { address: 'forged"\n{"level":"error"}', port: 2080 });
  for (const signal of ["SIGHUP", "SIGUSR2"] as const) {
    binder.program.signal(signal);
    await binder.program.waitFor(new RegExp(`${signal} does nothing`));
  }
  binder.program.signal("SIGUSR1");
  await binder.waitFor(({ upgrades }) => upgrades === 1);
  assertEquals(await binder.program.end("SIGTERM"), { code: 0, signal: null });
  const events = binder.program.stderr.trim().split("\n").map((line) => JSON.parse(line));
  const messages = events.map(({ time, level, message }) => {
    assert(
      Math.abs(Date.parse(time) - Date.now()) < 3_600_000 && /^(debug|info|warn)$/.test(level),
    );
    return message;
  });
  for (
    const message of ["holding", "listening for binds", "bind", "refused a request", "stopping"]
  ) {
    assert(messages.includes(message), message);
  }
  assertNotMatch(binder.program.stderr, /horse/);
});

Deno.test("a binder listens nowhere else, and leaves no file behind", async () => {
  using folder = tempDir();
  const address = loopbackHost();
  Deno.mkdirSync(folder.file("tmp"));
  const sock = folder.file("control.sock");
  await using binder = await startBinder([`${address}:2080`], {
    sock,
    env: { TMPDIR: folder.file("tmp"), HOME: folder.file("tmp") },
  });
  for (let upgrades = 0; upgrades < 2; upgrades++) {
    const tables = listeningSockets(binder.program.pid).map(({ table }) => table);
    assertEquals(tables, ["tcp", "unix"]);
    await bindOnce(sock, { address, port: 2080 });
    // In Deno itself this signal opens a debugger's port.
    binder.program.signal("SIGUSR1");
    await binder.waitFor((status) => status.upgrades > upgrades);
  }
  assertStrictEquals((await binder.program.end("SIGTERM")).code, 0);
  assertEquals([...Deno.readDirSync(folder.path)].map(({ name }) => name), ["tmp"]);
  assertEquals([...Deno.readDirSync(folder.file("tmp"))], []);
});
