/** A binder's metrics: what they say, and that nobody who may read them can do anything else there. */

import { assert, assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { startBinder } from "../support/binder.ts";
import { bindOnce } from "../support/control_client.ts";
import { site, startWrapper, tag } from "../support/haproxy.ts";
import { addressOf, newTarget } from "../support/http_client.ts";
import { metricsOf, scrape, valuesIn } from "../support/metrics.ts";
import { openFds } from "../support/process.ts";
import { until } from "../support/process_status.ts";
import { ask, servers } from "../support/status.ts";
import { tempDir } from "../support/temp_dir.ts";

/** Sends bytes, and reads to the end of the connection. */
async function exchange(connection: Deno.Conn, request: string): Promise<string> {
  await connection.write(new TextEncoder().encode(request));
  return await new Response(connection.readable).text();
}

Deno.test("what a binder has done is counted, also over an upgrade in place", async () => {
  const [held, other] = [newTarget(), newTarget()];
  await using binder = await startBinder([addressOf(held)], { args: ["--backlog", "77"] });
  const param = { address: held.hostname, port: held.port };
  const queue = `multibinder_listener_accept_queue_length{address="${addressOf(held)}"}`;
  const first = await metricsOf(binder.sock);
  assertStrictEquals(first.get("multibinder_binds_total"), 0);
  assertStrictEquals(first.get(queue), 0);
  const limit = `multibinder_listener_accept_queue_limit{address="${addressOf(held)}"}`;
  assertStrictEquals(first.get(limit), 77);
  assertStrictEquals(
    first.get(`multibinder_listener_drops_total{address="${addressOf(held)}"}`),
    0,
  );

  await bindOnce(binder.sock, param);
  await bindOnce(binder.sock, { address: other.hostname, port: other.port });
  await bindOnce(binder.sock, param);
  using _waiting = await Deno.connect(held);
  const look = async () => {
    const values = await metricsOf(binder.sock);
    return [
      "multibinder_binds_total",
      'multibinder_refusals_total{code="EACCES"}',
      queue,
      "multibinder_start_time_seconds",
    ].map((name) => values.get(name));
  };
  const before = await look();
  assertEquals(before.slice(0, 3), [2, 1, 1]);
  assertStrictEquals((await ask("upgrade", binder.sock)).code, 0);
  assertEquals(await look(), before);
  const after = await metricsOf(binder.sock);
  assertStrictEquals(after.get("multibinder_upgrades_total"), 1);
  assertStrictEquals(after.get("multibinder_last_upgrade_successful"), 1);
  assert((after.get("multibinder_requests_total") ?? 0) > 5);
});

Deno.test("an address with every character that the format needs is one line", async () => {
  using folder = tempDir();
  const path = folder.file('a"b\\c\nmultibinder_up 1');
  await using binder = await startBinder();
  await bindOnce(binder.sock, { address: `unix:${path}` });
  const values = await metricsOf(binder.sock);
  assertStrictEquals(values.get("multibinder_up 1"), undefined);
  const escaped = path.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
  const name = `multibinder_listener_accept_queue_length{address="unix:${escaped}"}`;
  assertStrictEquals(values.get(name), 0);
});

Deno.test("metrics are read over TCP, and the socket for that outlives an upgrade", async () => {
  const [held, metrics] = [newTarget(), newTarget()];
  const args = ["--metrics", addressOf(metrics)];
  await using binder = await startBinder([addressOf(held)], { args });
  const inode = () =>
    [...openFds(binder.program.pid).values()].filter((one) => /^socket/.test(one));
  const first = valuesIn(await scrape(metrics));
  assertStrictEquals(first.get("multibinder_binds_total"), 0);
  const before = inode();
  assertStrictEquals((await ask("upgrade", binder.sock)).code, 0);
  await until(() => before.filter((one) => inode().includes(one)).length >= 3);
  assertStrictEquals(valuesIn(await scrape(metrics)).get("multibinder_upgrades_total"), 1);
  // Clients cannot ask for that socket.
  const param = { address: metrics.hostname, port: metrics.port };
  assertStrictEquals((await bindOnce(binder.sock, param)).error?.data?.code, "EACCES");
});

Deno.test("metrics are read over a UNIX socket, whose file is gone with the binder", async () => {
  using folder = tempDir();
  const path = folder.file("metrics.sock");
  const request = "GET /metrics HTTP/1.0\r\n\r\n";
  {
    await using binder = await startBinder([], { args: ["--metrics", `unix:${path},mode=660`] });
    assertStrictEquals((Deno.lstatSync(path).mode ?? 0) & 0o777, 0o660);
    const connect = () => Deno.connect({ transport: "unix", path });
    assertMatch(
      await exchange(await connect(), request),
      /^HTTP\/1\.1 200 OK\r\n[^]*\nmultibinder_/,
    );
    assertStrictEquals((await ask("upgrade", binder.sock)).code, 0);
    assertMatch(await exchange(await connect(), request), /^HTTP\/1\.1 200 OK\r\n/);
    assertStrictEquals((await binder.program.end("SIGTERM")).code, 0);
  }
  assertEquals([...Deno.readDirSync(folder.path)], []);
});

Deno.test("nothing but the metrics can be asked for", async () => {
  const metrics = newTarget();
  await using binder = await startBinder([], { args: ["--metrics", addressOf(metrics)] });
  const answerTo = async (request: string) => await exchange(await Deno.connect(metrics), request);
  const cases: [request: string, status: string][] = [
    ["GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK"],
    ["GET /metrics?a=b HTTP/1.1\r\n\r\n", "200 OK"],
    ["HEAD /metrics HTTP/1.1\r\n\r\n", "200 OK"],
    ["GET / HTTP/1.1\r\n\r\n", "404 Not Found"],
    ["GET /metrics/../status HTTP/1.1\r\n\r\n", "404 Not Found"],
    ["POST /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed"],
    ["DELETE / HTTP/1.1\r\n\r\n", "405 Method Not Allowed"],
    ['{"jsonrpc":"2.0","id":1,"method":"upgrade"}\r\n\r\n', "400 Bad Request"],
    ["GET /metrics HTTP/2.0\r\n\r\n", "400 Bad Request"],
    [`GET /metrics HTTP/1.1\r\nA: ${"a".repeat(8192)}`, "431 Request Header Fields Too Large"],
  ];
  for (const [request, status] of cases) {
    const answer = await answerTo(request);
    assertMatch(answer, new RegExp(`^HTTP/1.1 ${status}\r\n`), request);
    assertMatch(answer, /\r\nConnection: close\r\n/i);
    const [head = "", body = ""] = answer.split("\r\n\r\n");
    const length = Number(/^content-length: (\d+)/im.exec(head)?.[1]);
    assertStrictEquals(body.length, request.startsWith("HEAD") ? 0 : length);
  }
  const { requests, errors } = await binder.waitFor(() => true);
  assert(requests > 0 && errors === 0, "none of this was a request on the control socket");
});

Deno.test("silent, slow and numerous scrapers keep nobody waiting, and none is kept", async () => {
  const metrics = newTarget();
  await using binder = await startBinder([], { args: ["--metrics", addressOf(metrics)] });
  const sockets = () =>
    [...openFds(binder.program.pid).values()].filter((one) => one.startsWith("socket")).length;
  const idle = sockets();
  const silent: Deno.Conn[] = [];
  for (let count = 0; count < 40; count++) {
    const connection = await Deno.connect(metrics);
    silent.push(connection);
    await connection.write(new TextEncoder().encode("GET /metrics HTT"));
  }
  assertMatch(await scrape(metrics), /^multibinder_binds_total 0$/m);
  await binder.waitFor(() => true);
  assert(sockets() <= idle + 17, `${sockets()} sockets are open, ${idle} of them when idle`);
  silent.forEach((one) => one.close());
  await until(() => sockets() <= idle);
  assertMatch(await scrape(metrics), /^multibinder_binds_total 0$/m);
});

Deno.test("who scrapes is answered, however many come meanwhile", async () => {
  const metrics = newTarget();
  await using binder = await startBinder([], { args: ["--metrics", addressOf(metrics)] });
  const isAnswered = async () => {
    const honest = await Deno.connect(metrics);
    await honest.write(new TextEncoder().encode("GET /metrics HTTP/1.1\r\n"));
    const crowd = await Promise.all(Array.from({ length: 25 }, () => Deno.connect(metrics)));
    try {
      return /^HTTP\/1.1 200 OK/.test(await exchange(honest, "\r\n"));
    } catch {
      return false; // It made room for them.
    } finally {
      crowd.forEach((one) => one.close());
    }
  };
  // Its connection is kept for a second, in which a busy machine may not get to it.
  let answered = 0;
  for (let tries = 0; tries < 5 && answered === 0; tries++) answered += Number(await isAnswered());
  assertStrictEquals(answered, 1);
  await binder.waitFor(() => true);
});

Deno.test("an address that is not to be had ends the start, with the reason", async () => {
  const target = newTarget();
  await using _binder = await startBinder([], { args: ["--metrics", addressOf(target)] });
  for (const wrong of [addressOf(target), `udp:${addressOf(target)}`, "unix:relative", "nowhere"]) {
    const failed = await startBinder([], { args: ["--metrics", wrong] }).catch(String);
    assertMatch(String(failed), /it ended first/, wrong);
    assert(String(failed).includes(wrong.replace(/^udp:/, "")), String(failed));
  }
});

Deno.test("thousands of sockets are told of, whichever way is asked", async () => {
  const [{ hostname }, metrics] = [newTarget(), newTarget()];
  const args = ["--metrics", addressOf(metrics)];
  await using binder = await startBinder([`${hostname}:20000-25999`], { args });
  for (const values of [await metricsOf(binder.sock), valuesIn(await scrape(metrics))]) {
    const queues = [...values.keys()].filter((name) => name.includes("_accept_queue_length{"));
    assertStrictEquals(queues.length, 6000);
  }
});

Deno.test("an address that nobody serves while a client waits is an alarm, until somebody does", async () => {
  const target = newTarget();
  const args = ["--unserved-after", "100ms"];
  await using binder = await startBinder([addressOf(target)], { args });
  const labels = `address="${addressOf(target)}"`;
  const look = async () => {
    const values = await metricsOf(binder.sock);
    return {
      alarm: values.get(`multibinder_listener_alarm{${labels},kind="unserved"}`),
      served: values.get(`multibinder_listener_served{${labels}}`),
    };
  };
  const before = await look();
  assertStrictEquals(before.alarm, undefined);
  assert(before.served !== 1, "nobody serves it, or that cannot be seen");
  using _client = await Deno.connect(target);
  const { troubles } = await binder.waitFor(({ troubles }) => troubles.length > 0);
  assertEquals(troubles.map(({ kind }) => kind), ["unserved"]);
  assertStrictEquals((await look()).alarm, 1);
  await using _wrapper = await startWrapper(site(tag(target), "ok"), { sock: binder.sock });
  await binder.waitFor(({ troubles }) => troubles.length === 0);
  await binder.waitFor((status) => servers(status).length > 0);
  assertEquals(await look(), { alarm: undefined, served: 1 });
});
