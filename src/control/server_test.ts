import {
  assert,
  assertEquals,
  assertMatch,
  assertObjectMatch,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { discardNow } from "../../ffi/discard.ts";
import { createMemfd } from "../../ffi/memfd.ts";
import { connectedPair } from "../../tests/support/connection.ts";
import { leavesNoDescriptors, openDescriptors, openFile } from "../../tests/support/descriptors.ts";
import { failOnce } from "../../tests/support/failing_call.ts";
import {
  answer,
  echo,
  isClosed,
  isServed,
  LONG,
  Scene,
  sendRaw,
  serve,
} from "../../tests/support/server_scene.ts";
import type { Channel } from "./channel.ts";
import { RPC, RpcError } from "./messages.ts";
import type { HandedConnection } from "./clients.ts";
import type { Handler, Peer } from "./handler.ts";
import { ControlServer } from "./server.ts";

const ENOMEM = 12;

/** A connection that outlives the server it is taken from, as one does across an exec. */
function copyOf(connection: HandedConnection): HandedConnection {
  const { fd, pending } = connection;
  return { ...connection, fd: fd.duplicate(), pending: pending.slice() };
}

Deno.test("a request is answered with the descriptors of its handler, and the peer is known", async () => {
  await leavesNoDescriptors(async () => {
    using memfd = createMemfd("test");
    let seen: Peer | undefined;
    await using scene = serve((request, { peer }) => {
      seen = peer;
      return Promise.resolve({ result: request.method, fds: [memfd, memfd] });
    });
    const client = scene.connect();
    client.maxFds = 2;
    sendRaw(client, '{"jsonrpc":"2.0","method":"bind","id":"x"}');
    assertEquals(await answer(client), { jsonrpc: "2.0", id: "x", result: "bind" });
    for (const fd of client.takeFds()) {
      assertStrictEquals(openFile(fd), openFile(memfd));
      fd.close();
    }
    const { pid, uid, gid } = seen ?? {};
    assertEquals({ pid, uid, gid }, { pid: Deno.pid, uid: Deno.uid(), gid: Deno.gid() });
  });
});

Deno.test("a bad request is answered with an error, and the next one is served", async () => {
  await using scene = serve(echo);
  const client = scene.connect();
  const bad: [text: string, id: unknown, code: number, message: RegExp][] = [
    ['{"id":1,"method":"nope"}', 1, RPC.methodNotFound, /^Method not found: nope$/],
    ['{"id":1}', null, RPC.invalidRequest, /^Invalid Request: /],
    ["{oops}", null, RPC.parseError, /^Parse error: /],
  ];
  for (const [text, id, code, message] of bad) {
    sendRaw(client, text);
    const { error, ...rest } = await answer(client);
    assertEquals(rest, { jsonrpc: "2.0", id });
    assert(error instanceof Object && "message" in error && "code" in error);
    assertStrictEquals(error.code, code);
    assertMatch(String(error.message), message);
    await isServed(client);
  }
  assertEquals(scene.server.clients.counters, { connections: 1, requests: 6, errors: 3 });
});

Deno.test("garbage ends its own connection alone, with a parse error", async () => {
  await using scene = serve(echo);
  const [good, bad] = [scene.connect(), scene.connect()];
  await isServed(good);
  sendRaw(bad, "GET / HTTP/1.1\r\n\r\n");
  const { id, error } = await answer(bad);
  assertStrictEquals(id, null);
  assert(error instanceof Object && "code" in error && error.code === RPC.parseError);
  await isClosed(bad);
  await isServed(good);
  assert(scene.log.some((line) => line.includes("garbage on the control socket")));
});

Deno.test("a handler that fails ends its own connection alone", async () => {
  await using scene = serve((request, caller) => {
    if (request.method === "fail") throw new TypeError("a bug");
    return echo(request, caller);
  });
  const [good, bad] = [scene.connect(), scene.connect()];
  sendRaw(bad, '{"method":"fail"}');
  await isClosed(bad);
  await isServed(good);
  assert(scene.log.some((line) => /error failed to serve a client .*error="a bug"/.test(line)));
});

Deno.test("clients that go away at any point disturb nobody", async () => {
  await leavesNoDescriptors(async () => {
    await using scene = serve(echo);
    const stays = scene.connect();
    for (const text of ["", "{", '{"method":"ec', '{"method":"echo","params":1}']) {
      const leaves = scene.connect();
      if (text !== "") sendRaw(leaves, text);
      leaves.close();
      await isServed(stays);
    }
    assertStrictEquals(scene.server.clients.counters.connections, 5);
  });
});

Deno.test("descriptors of a client that may send none are not received, and end its connection", async () => {
  await using scene = serve(echo);
  const [client, other] = [scene.connect(), scene.connect()];
  await isServed(client);
  await isServed(other);
  using memfd = createMemfd("test");
  const before = openDescriptors();
  sendRaw(client, '{"method":"echo","id":5', new Array(253).fill(memfd));
  sendRaw(client, "}", [memfd]);
  const { id, error } = await answer(client);
  assertStrictEquals(id, null, "its request was not complete");
  assertMatch(JSON.stringify(error), /may not send descriptors/);
  await isClosed(client);
  await isServed(other);
  discardNow();
  assertStrictEquals(openDescriptors(), before - 1);
});

Deno.test("at the limit the longest silent client makes room for the next", async () => {
  await using scene = serve(echo, { clients: 2 });
  const [active, silent] = [scene.connect(), scene.connect()];
  await isServed(active);
  await isServed(silent);
  await isServed(active);
  const next = scene.connect();
  await isServed(next);
  await isClosed(silent);
  await isServed(active);
});

Deno.test("many that come at once are held to the limit as well", async () => {
  await using scene = new Scene(echo, { clients: 2 });
  const clients = Array.from({ length: 10 }, () => scene.connect());
  scene.run();
  for (const client of clients.slice(0, -2)) await isClosed(client);
  for (const client of clients.slice(-2)) await isServed(client);
  assertStrictEquals(scene.server.clients.counters.connections, 10);
});

Deno.test("at the limit a client that waits for its answer gets it", async () => {
  const begun = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  await using scene = serve(async (request, caller) => {
    begun.resolve();
    await goOn.promise;
    return echo(request, caller);
  }, { clients: 1 });
  const waits = scene.connect();
  sendRaw(waits, '{"id":1,"method":"echo","params":[]}');
  await begun.promise;
  const end = scene.server.clients.underWay;
  assert(end);
  await isClosed(scene.connect());
  goOn.resolve();
  assertEquals(await answer(waits), { jsonrpc: "2.0", id: 1, result: [] });
  await end;
  assertStrictEquals(scene.server.clients.underWay, undefined);
});

Deno.test("a client that is silent, or never completes its request, is closed", async () => {
  await using scene = serve(echo, { idle: 10 });
  const [silent, slow] = [scene.connect(), scene.connect()];
  sendRaw(slow, '{"method":');
  await isClosed(silent);
  await isClosed(slow);
  assertStrictEquals(scene.log.filter((line) => line.includes("closed a silent client")).length, 2);
  await isServed(scene.connect());
});

Deno.test("a client that never reads its answers is closed, and delays nobody", async () => {
  await using scene = serve(echo, { idle: 10 });
  const greedy = scene.connect();
  const request = `{"method":"echo","params":"${"x".repeat(50_000)}"}`;
  const flood = async () => {
    for (;;) await greedy.send(JSON.parse(request), [], LONG);
  };
  const flooding = assertRejects(() => flood(), Error).then((error) =>
    assertObjectMatch(error, { code: "EPIPE" })
  );
  await isServed(scene.connect());
  await flooding;
  await isServed(scene.connect());
});

Deno.test("a thousand requests in one write get their answers in order", async () => {
  await using scene = serve(echo);
  const client = scene.connect();
  const ids = Array.from({ length: 1000 }, (_, index) => index);
  sendRaw(client, ids.map((id) => `{"method":"echo","id":${id},"params":[${id}]}`).join(""));
  for (const id of ids) {
    assertEquals(await answer(client), { jsonrpc: "2.0", id, result: [id] });
  }
  assertStrictEquals(scene.server.clients.counters.requests, ids.length);
});

Deno.test("a client that pipelines without end does not starve another", async () => {
  await using scene = serve(echo);
  const greedy = scene.connect();
  let stopped = false;
  const flood = async () => {
    for (let id = 0; !stopped; id++) await greedy.send({ id, method: "echo" }, [], LONG);
    await greedy.send({ id: "last", method: "echo" }, [], LONG);
  };
  const drain = async () => {
    while ((await answer(greedy)).id !== "last");
  };
  const flooding = Promise.all([flood(), drain()]);
  for (let round = 0; round < 20; round++) await isServed(scene.connect());
  stopped = true;
  await flooding;
});

Deno.test("a successor goes on with the connections and their half-received requests", async () => {
  await using before = serve(echo);
  const [client, other] = [before.connect(), before.connect()];
  await isServed(client);
  sendRaw(client, '{"id":7,"method":"ec');
  // What was sent earlier is read by the time this is answered.
  await isServed(other);
  const kept = before.server.clients.handedOver().map(copyOf);
  assertStrictEquals(kept.length, 2);
  await using after = serve(echo);
  before.server.close();
  for (const connection of kept) after.server.serve(connection);
  sendRaw(client, 'ho","params":[8]}');
  assertEquals(await answer(client), { jsonrpc: "2.0", id: 7, result: [8] });
  await isServed(other);
});

Deno.test("unfinished requests that are too long together are given up, the longest first, the trusted's last", async () => {
  const MiB = 1024 * 1024;
  await using scene = serve(echo, {}, 1);
  const half = (length: number) => {
    const [near, far] = connectedPair();
    const pending = new Uint8Array(length).fill(0x20);
    if (length > 0) pending[0] = 0x7b;
    scene.server.serve({ fd: far, pending });
    return near;
  };
  const kept = () => scene.server.clients.handedOver().map(({ pending }) => pending.length);
  scene.rights = { ...scene.rights, trusted: false };
  const ends = [MiB, ...new Array(9).fill(MiB - 10), 0, 20].map(half);
  assertEquals(kept(), [...new Array(8).fill(MiB - 10), 0, 20]);
  // One who may send descriptors as well, and is trusted besides, comes before them.
  scene.rights = { ...scene.rights, trusted: true };
  ends.push(half(MiB));
  assertEquals(kept(), [...new Array(7).fill(MiB - 10), 0, 20, MiB]);
  ends.forEach((fd) => fd.close());
});

Deno.test("a poll that fails after an accept that failed costs nobody anything", async () => {
  await using scene = serve(echo);
  await isServed(scene.connect());
  const failed = Promise.withResolvers<void>();
  failOnce("accept4", ENOMEM, () => failOnce("poll", ENOMEM, failed.resolve));
  const client = scene.connect();
  await failed.promise;
  await isServed(client);
  assert(scene.log.some((line) => /error cannot accept a client .*ENOMEM/.test(line)));
});

Deno.test("a successor knows who is attached, and answers what its predecessor owed", async () => {
  const asked = Promise.withResolvers<void>();
  const handle: Handler = (request, caller) => {
    if (request.method === "attach") {
      caller.attach(["a", "b"]);
      return Promise.resolve({ result: true, fds: [] });
    }
    if (request.method !== "owe") return echo(request, caller);
    caller.oweAnswer();
    asked.resolve();
    return new Promise<never>(() => {});
  };
  await using before = serve(handle);
  const [attached, waits] = [before.connect(), before.connect()];
  sendRaw(attached, '{"id":1,"method":"attach"}');
  await answer(attached);
  sendRaw(waits, '{"id":"u","method":"owe"}');
  await asked.promise;
  assertStrictEquals(
    before.server.clients.underWay,
    undefined,
    "what a successor answers keeps it from nothing",
  );
  const kept = before.server.clients.handedOver().map(copyOf);
  assertEquals(kept.map(({ holds, owed }) => ({ holds, owed })), [
    { holds: ["a", "b"], owed: undefined },
    { holds: undefined, owed: "u" },
  ]);
  await using after = serve(handle, { idle: 10 });
  before.server.close();
  for (const connection of kept) after.server.serve(connection, { ok: true });
  assertEquals(await answer(waits), { jsonrpc: "2.0", id: "u", result: { ok: true } });
  assertEquals(after.server.clients.attached.map(({ holds }) => holds), [["a", "b"]]);
  await isClosed(waits);
  await isServed(attached);
});

Deno.test("an owed answer whose request fails after all is answered here", async () => {
  await using scene = serve((_, caller) => {
    caller.oweAnswer();
    throw new RpcError(RPC.failed, "no successor");
  });
  const client = scene.connect();
  sendRaw(client, '{"id":3,"method":"owe"}');
  const error = { code: RPC.failed, message: "no successor" };
  assertEquals(await answer(client), { jsonrpc: "2.0", id: 3, error });
  assertEquals(scene.server.clients.handedOver().map(({ owed }) => owed), [undefined]);
});

Deno.test("a client between request and answer is not handed over", async () => {
  const begun = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  await using scene = serve(async (request, caller) => {
    begun.resolve();
    await goOn.promise;
    return echo(request, caller);
  });
  const busy = scene.connect();
  sendRaw(busy, '{"id":1,"method":"echo","params":[]}');
  await begun.promise;
  assertEquals(scene.server.clients.handedOver(), []);
  assert(scene.server.clients.underWay);
  goOn.resolve();
  await answer(busy);
  assertStrictEquals(scene.server.clients.handedOver().length, 1);
});

Deno.test("attached clients are neither too silent, nor too many, nor in the way of others", async () => {
  const attach: Handler = (request, caller) => {
    if (request.method === "attach") caller.attach([]);
    return echo({ ...request, method: "echo" }, caller);
  };
  await using scene = serve(attach, { clients: 1, idle: 50 });
  const lasting: Channel[] = [];
  for (let count = 0; count < 3; count++) {
    const client = scene.connect();
    sendRaw(client, '{"method":"attach"}');
    await answer(client);
    lasting.push(client);
  }
  assertStrictEquals(scene.server.clients.size, 3);
  const [other, next] = [scene.connect(), scene.connect()];
  await isClosed(other);
  await isServed(next);
  await isClosed(next);
  for (const client of lasting) await isServed(client);
});

Deno.test("descriptors are kept for whom they are allowed, until the answer", async () => {
  await leavesNoDescriptors(async () => {
    using memfd = createMemfd("test");
    let taken = 0;
    const take: Handler = (request, caller) => {
      const fds = request.method === "take" ? caller.takeFds() : [];
      taken = fds.length;
      fds.forEach((fd) => fd.close());
      return Promise.resolve({ result: true, fds: [] });
    };
    for (const [allowed, method, got] of [[2, "take", 2], [2, "leave", 0]]) {
      await using scene = serve(take, {}, Number(allowed));
      const client = scene.connect();
      await client.send({ id: 0, method: "leave" }, [], LONG);
      await answer(client);
      const before = openDescriptors();
      sendRaw(client, `{"id":1,"method":"${method}"}`, [memfd, memfd, memfd]);
      await answer(client);
      assertStrictEquals(taken, got);
      await client.send({ id: 0, method: "leave" }, [], LONG);
      await answer(client);
      discardNow();
      assertStrictEquals(openDescriptors(), before, "what nobody took is closed after the answer");
    }
  });
});

Deno.test("a request that has arrived in part, with descriptors, is not handed over", async () => {
  await leavesNoDescriptors(async () => {
    using memfd = createMemfd("test");
    await using scene = serve(echo, {}, 1);
    const [half, other] = [scene.connect(), scene.connect()];
    await isServed(half);
    sendRaw(half, '{"method":', [memfd]);
    // What was sent earlier is read by the time this is answered.
    await isServed(other);
    assertStrictEquals(scene.server.clients.handedOver().length, 1);
    sendRaw(half, '"echo","params":1}');
    await answer(half);
    await isServed(half);
    assertStrictEquals(scene.server.clients.handedOver().length, 2);
  });
});

Deno.test("closing the server closes its clients", async () => {
  await leavesNoDescriptors(async () => {
    await using scene = serve(echo);
    const clients = [scene.connect(), scene.connect()];
    for (const client of clients) await isServed(client);
    scene.server.close();
    for (const client of clients) await isClosed(client);
    assertObjectMatch(assertThrows(() => scene.connect(), Error), { code: "ECONNREFUSED" });
  });
});

Deno.test("who may do what must be said: a server without it does not compile", async () => {
  await using scene = serve(echo);
  const { listening, poller, handle, log } = scene.server;
  // @ts-expect-error: it would serve everyone.
  const silent = () => new ControlServer(listening, poller, handle, log);
  assertStrictEquals(typeof silent, "function");
});

Deno.test("who has other rights by now is closed, and may come again with these", async () => {
  await leavesNoDescriptors(async () => {
    await using scene = serve(echo);
    const client = scene.connect();
    await isServed(client);
    scene.server.closeChanged();
    await isServed(client);
    scene.rights = { ...scene.rights, served: false };
    scene.server.closeChanged();
    await isClosed(client);
    const again = scene.connect();
    sendRaw(again, '{"method":"echo","id":1}');
    assertObjectMatch(await answer(again), { error: { code: RPC.notPermitted } });
  });
});

Deno.test("who was sent sockets and is closed leaves nothing behind for the next one", async () => {
  using memfd = createMemfd("sent");
  await using scene = serve((request, caller) => {
    caller.attach([]);
    return Promise.resolve({ result: request.method, fds: [memfd] });
  });
  const isGiven = async (client: Channel) => {
    client.maxFds = 1;
    sendRaw(client, '{"id":1,"method":"bind"}');
    assertStrictEquals((await answer(client)).result, "bind");
    const fds = client.takeFds();
    assertStrictEquals(fds.length, 1);
    fds.forEach((fd) => fd.close());
  };
  for (const end of ["attached", "changed", "attached"]) {
    const client = scene.connect();
    await isGiven(client);
    if (end === "changed") scene.rights = { ...scene.rights, maxFds: 1 };
    if (end === "attached") assertStrictEquals(scene.server.closeAttached(), 1);
    else scene.server.closeChanged();
    await isClosed(client);
    // The next one's connection has the number of this one's, on both sides.
    client.close();
  }
  await isGiven(scene.connect());
});

Deno.test("what is refused again and again is summed up, whoever is refused", async () => {
  await using scene = serve(echo);
  const written = (message: string) => scene.log.filter((line) => line.includes(message)).length;
  const client = scene.connect();
  for (let count = 0; count < 30; count++) {
    await client.send({ id: count, method: "none", params: [] }, [], LONG);
    assertStrictEquals(Object(await answer(client)).error.code, RPC.methodNotFound);
  }
  scene.rights = { ...scene.rights, served: false, trusted: false };
  for (let count = 0; count < 30; count++) {
    const stranger = scene.connect();
    sendRaw(stranger, '{"method":"echo","id":1}');
    assertStrictEquals(Object(await answer(stranger)).error.code, RPC.notPermitted);
  }
  const complaints = ["refused a request", "denied a client"];
  assertEquals(complaints.map(written), [20, 20]);
});
