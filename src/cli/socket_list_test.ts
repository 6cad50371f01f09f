import { assert, assertEquals, assertRejects } from "@std/assert";
import { Poller } from "../../ffi/poll.ts";
import { reap } from "../../ffi/process.ts";
import { spawn } from "../../ffi/spawn.ts";
import { startLocalBinder } from "../../tests/support/local_binder.ts";
import { settled } from "../../tests/support/poller.ts";
import { until } from "../../tests/support/process_status.ts";
import { loopbackHost, tempDir } from "../../tests/support/temp_dir.ts";
import { ignoreUnless } from "../../tests/support/users.ts";
import { ControlClient } from "../control/client.ts";
import type { GenerationReport, WrapperReport } from "../control/reports.ts";
import { UserError } from "../errors.ts";
import { listSockets } from "./socket_list.ts";

const isRoot = { ignore: ignoreUnless(Deno.uid() === 0, "to see who serves needs root") };
const poller = new Poller();
const SERVICE = "/etc/site.cfg";

function report(...generations: [number, GenerationReport["state"]][]): WrapperReport {
  return {
    service: SERVICE,
    self: 77,
    control: null,
    generations: generations.map(([number, state]) => ({ number, pid: 1000 + number, state })),
    lastReload: null,
  };
}

Deno.test(
  "a socket that only generations which have given way have open is draining",
  isRoot,
  async () => {
    using folder = tempDir();
    const sock = folder.file("sock");
    await using binder = await startLocalBinder(sock);
    using wrapper = ControlClient.connect(sock, poller);
    const param = { address: loopbackHost(), port: 80 };
    const fds = await wrapper.bind([param]);
    await wrapper.adopt([param], fds);
    const states = async () => (await listSockets(sock)).map(({ state }) => state);
    // The test itself has it open, as a client of its own binder: neither counts.
    assertEquals(await states(), ["unserved"]);
    const [held] = binder.held();
    if (held) held.since -= 3_600_000;
    const { ageSeconds = 0, lentTo: [lent] = [] } = (await listSockets(sock))[0] ?? {};
    assert(ageSeconds >= 3600 && ageSeconds < 3660, `${ageSeconds}`);
    assertEquals([lent?.pid, lent?.count], [Deno.pid, 1]);
    const start = (number: number) =>
      spawn({
        argv: ["sleep", "1000"],
        env: {
          PATH: Deno.env.get("PATH") ?? "",
          MULTIBINDER_SERVICE: SERVICE,
          MULTIBINDER_WRAPPER: "77",
          MULTIBINDER_GENERATION: String(number),
        },
        fds,
      });
    const pids = [start(1)];
    try {
      assertEquals(await states(), ["serving"]);
      await wrapper.call("report", report([1, "draining"], [2, "serving"]));
      assertEquals(await states(), ["draining"]);
      pids.push(start(2));
      const [listed] = await listSockets(sock);
      assertEquals([listed?.state, listed?.servedBy?.map(({ generation }) => generation).sort()], [
        "serving",
        [1, 2],
      ]);
      // Another service's wrapper says nothing of these.
      await wrapper.call("report", { ...report([1, "draining"], [2, "draining"]), self: 78 });
      assertEquals(await states(), ["serving"]);
    } finally {
      for (const pid of pids) Deno.kill(pid, "SIGKILL");
      await until(() => reap() === undefined);
      fds.forEach((fd) => fd.close());
    }
    wrapper.close();
    await settled(poller);
  },
);

Deno.test("what is wrong with a socket is listed with it", async () => {
  using folder = tempDir();
  const sock = folder.file("sock");
  const param = { address: loopbackHost(), port: 80 };
  const address = `${param.address}:80`;
  await using _binder = await startLocalBinder(sock, {
    troubles: [{ address, kind: "drops", since: 1, message: "it drops" }],
  });
  using client = ControlClient.connect(sock, poller);
  for (const fd of await client.bind([param, { ...param, port: 81 }])) fd.close();
  assertEquals((await listSockets(sock)).map(({ troubles }) => troubles), [["it drops"], []]);
  client.close();
  await settled(poller);
});

Deno.test("an answer that is no list of sockets is refused", async () => {
  using folder = tempDir();
  const sock = folder.file("sock");
  const lent = { pid: 1, uid: 0, count: 1, last: Number.MAX_SAFE_INTEGER };
  const socket = {
    ...{ address: ":80", type: "tcp", inode: 1, queue: 0, limit: 1, drops: 0, since: 0 },
    ...{ lentTo: [lent], wrappers: [], options: {} },
  };
  const pages = [
    { sockets: [{}], next: null },
    { sockets: [] },
    { sockets: [socket], next: null },
    { sockets: [], next: 0 },
  ];
  for (const result of [true, [], ...pages]) {
    await using _binder = await startLocalBinder(sock, {
      answer: () => () => Promise.resolve({ result, fds: [] }),
    });
    const error = await assertRejects(() => listSockets(sock), UserError);
    assert(error.message.includes("is no list of sockets"), error.message);
  }
});

Deno.test("who has not told what it holds cannot report, and nothing malformed is taken", async () => {
  using folder = tempDir();
  const sock = folder.file("sock");
  await using _binder = await startLocalBinder(sock);
  using client = ControlClient.connect(sock, poller);
  await assertRejects(() => client.call("report", report()), UserError, "adopt");
  await client.adopt([], []);
  const malformed = [null, [], { ...report(), self: 0 }, {
    ...report(),
    service: "x".repeat(4097),
  }, { ...report(), generations: [{ number: 1, pid: 1, state: "gone" }] }];
  for (const one of malformed) {
    await assertRejects(() => client.call("report", one), UserError, "Invalid params");
  }
  assertEquals(await client.call("report", report([1, "serving"])), true);
  for (const params of [null, ["x"], [-1], [1.5]]) {
    await assertRejects(() => client.call("sockets", params), UserError, "Invalid params");
  }
  client.close();
  await settled(poller);
});
