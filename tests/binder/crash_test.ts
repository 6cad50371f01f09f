/** A binder that is killed: servers go on, wrappers keep its sockets and give them to the next one. */

import { assert, assertEquals, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import { multibinder, startBinder } from "../support/binder.ts";
import { type Answer, bindOnce, bindRequest, callFromPython } from "../support/control_client.ts";
import { site, startWrapper, tag } from "../support/haproxy.ts";
import { addressOf, get, Load, newTarget } from "../support/http_client.ts";
import { listeningSockets, socketInodes } from "../support/process.ts";
import { until } from "../support/process_status.ts";
import { runProgram, startProgram } from "../support/program.ts";
import { binderStatus, wrapperStatus } from "../support/status.ts";
import { freePort, loopbackHost, tempDir } from "../support/temp_dir.ts";
import { ignoreUnless, UNPRIVILEGED } from "../support/users.ts";
import type { ListedSocket } from "../../src/cli/socket_list.ts";

/** The sockets that a binder holds, its control socket not among them. */
function heldBy(pid: number, sock: string): number[] {
  return listeningSockets(pid).filter(({ address }) => address !== sock).map(({ inode }) => inode)
    .sort((a, b) => a - b);
}

Deno.test("kill -9 of the binder under load, three times: nothing is lost, the sockets return", async () => {
  using folder = tempDir();
  const target = { hostname: loopbackHost(), port: 80 };
  const sock = folder.file("sock");
  const path = folder.file("site.sock");
  const addresses = [`${target.hostname}:80`, `unix:${path}`];
  const template = (reply: string, more: string[] = []) =>
    site([tag(target), `<%= bind('unix:${path}') %>`, ...more], reply);
  await using binders = new AsyncDisposableStack();
  let binder = binders.use(await startBinder(addresses, { sock }));
  await using wrapper = await startWrapper(template("first"), { sock });
  const { pid } = wrapper.program;
  const before = heldBy(binder.program.pid, sock);
  assertStrictEquals(before.length, 2);
  await using load = new Load(target, { workers: 2 });
  for (let round = 1; round <= 3; round++) {
    binder.program.signal("SIGKILL");
    await wrapper.waitFor(({ binder }) => binder?.connected === false);

    wrapper.template = template(`alone-${round}`);
    assertStrictEquals((await wrapper.reload()).ok, true);
    await until(async () => await get(target) === `alone-${round}`);
    wrapper.template = template("more", [tag({ ...target, port: 81 })]);
    const { ok, message } = await wrapper.reload();
    assertStrictEquals(ok, false);
    assertMatch(message, /^no binder at /);

    // Its addresses are in use, by its own sockets.
    binder = binders.use(await startBinder(addresses, { sock }));
    await wrapper.waitFor(({ binder }) => binder?.connected ?? false);
    assertEquals(heldBy(binder.program.pid, sock), before, "the same sockets");
    // The wrapper has them, though not from this binder.
    const { stdout } = await runProgram([multibinder(), "ls", "--sock", sock, "--json"]);
    const lent = JSON.parse(stdout).map(({ lentTo }: ListedSocket) => lentTo);
    const lending = { pid, uid: Deno.uid(), count: 0, last: lent[0]?.[0]?.last };
    assertEquals(lent, [[lending], [{ ...lending, last: lent[1]?.[0]?.last }]]);
    const [call] = await callFromPython(sock, bindRequest({ address: target.hostname, port: 80 }));
    assert(before.includes(call?.sockets[0]?.inode ?? 0), "and a client gets that one");
    const { sockets } = await binderStatus(sock);
    assertEquals(sockets.map(({ holders }) => holders), [[pid], [pid]]);
    assertEquals((await wrapperStatus(wrapper.control)).binder, { sock, connected: true });

    wrapper.template = template(`together-${round}`);
    assertStrictEquals((await wrapper.reload()).ok, true);
    await until(async () => await get(target) === `together-${round}`);
  }
  assertEquals((await load.stop()).failures, []);
});

Deno.test("a binder that is stopped leaves the UNIX socket that is still served to the next one", async () => {
  using folder = tempDir();
  const [sock, path] = [folder.file("sock"), folder.file("site.sock")];
  const reply = async () => {
    return (await runProgram(["curl", "-s", "--unix-socket", path, "http://site/"])).stdout;
  };
  const template = (text: string) => site(`<%= bind('unix:${path}') %>`, text);
  await using first = await startBinder([`unix:${path}`], { sock });
  await using wrapper = await startWrapper(template("first"), { sock });
  const before = heldBy(first.program.pid, sock);
  assertStrictEquals((await first.program.end("SIGTERM")).code, 0);
  assertStrictEquals(await reply(), "first");
  {
    await using next = await startBinder([`unix:${path}`], { sock });
    await next.waitFor(({ sockets }) => sockets[0]?.holders.length === 1);
    assertEquals(heldBy(next.program.pid, sock), before);
    await next.program.end("SIGTERM");
  }
  // What leads nowhere is not taken back: clients could not connect to it.
  Deno.removeSync(path);
  await using last = await startBinder([], { sock });
  await last.program.waitFor(
    / warn refused a socket handed back .* why="its file is gone, or is another's"/,
  );
  wrapper.template = template("second");
  assertStrictEquals((await wrapper.reload()).ok, true);
  await until(async () => await reply() === "second");
});

Deno.test("of two wrappers with one socket, the next binder takes it once; clients wait for it", async () => {
  using folder = tempDir();
  const target = { hostname: loopbackHost(), port: 80 };
  const sock = folder.file("sock");
  await using first = await startBinder([], { sock });
  await using v1 = await startWrapper(site(tag(target), "v1"), { sock });
  await using v2 = await startWrapper(site(tag(target), "v2"), { sock });
  const before = heldBy(first.program.pid, sock);
  await using load = new Load(target, { workers: 2 });
  await first.program.end("SIGKILL");

  await using next = await startBinder([], { sock });
  // Whether it comes before a wrapper does or after: a port of this very service is never "in use".
  const answer = await bindOnce(sock, { address: target.hostname, port: 80 });
  assertStrictEquals(answer.result, true, JSON.stringify(answer));
  const pids = [v1.program.pid, v2.program.pid].sort((a, b) => a - b);
  await until(async () => {
    const [socket] = (await binderStatus(sock)).sockets;
    return socket?.holders.toSorted((a, b) => a - b).join() === pids.join();
  });
  assertEquals(heldBy(next.program.pid, sock), before);
  assertStrictEquals(next.program.stderr.match(/ info adopted /g)?.length, 1);
  const { failures, replies } = await load.stop();
  assertEquals([failures, [...replies.keys()].sort()], [[], ["v1", "v2"]]);
});

/** Where another user may run programs; our own PATH may begin in our home. */
const SYSTEM = ["env", "PATH=/usr/bin:/bin"];

/** Hands sockets to a binder. @returns its answers, one a line */
async function handBack(
  sock: string,
  through: readonly string[],
  ...given: { params: object[]; sockets: [string, number, boolean][] }[]
): Promise<Answer[]> {
  const script = new URL("../support/hand_back.py", import.meta.url).pathname;
  const [file = "", ...args] = [...through, "python3", script, sock];
  await using python = startProgram([file, ...args], { stdin: "piped" });
  await python.write(given.map((one) => JSON.stringify(one) + "\n").join(""));
  await python.closeInput();
  assertStrictEquals((await python.exited).code, 0, python.stderr);
  return python.stdout.trim().split("\n").map((line) => JSON.parse(line));
}

Deno.test("a binder takes only what is what it claims to be, and closes the rest", async () => {
  const host = loopbackHost();
  await using binder = await startBinder([`${host}:80`], { args: ["--allow", `${host}:81-90`] });
  const { sock, program: { pid } } = binder;
  const before = socketInodes(pid).length;
  const answers = await handBack(
    sock,
    [],
    { params: [{ address: host, port: 81 }], sockets: [[host, 82, true]] },
    { params: [{ address: host, port: 83 }], sockets: [[host, 83, false]] },
    { params: [{ address: host, port: 91 }], sockets: [[host, 91, true]] },
    { params: [{ address: host, port: 84 }], sockets: [] },
    { params: [{ address: "::1", port: "x" }], sockets: [[host, 85, true]] },
    { params: [{ address: host, port: 86 }], sockets: [[host, 86, true]] },
    { params: [{ address: host, port: 80 }], sockets: [[host, 87, true]] },
  );
  const said = answers.map(({ result, error }) => String(result ?? error?.message));
  const expected = [
    /^refused: it listens on \S+:82$/,
    /^refused: it is no listening socket$/,
    /^refused: not allowed$/,
    /^Invalid params: 0 sockets for 1 addresses$/,
    /malformed|Invalid/,
    /^adopted$/,
    /^refused: it listens on \S+:87$/,
  ];
  assertStrictEquals(said.length, expected.length);
  expected.forEach((pattern, index) => assertMatch(said[index] ?? "", pattern));
  // One more than before: that of port 86.
  await until(() => socketInodes(pid).length === before + 1);
  const { sockets } = await binderStatus(sock);
  assertEquals(sockets.map(({ address }) => address), [`${host}:80`, `${host}:86`]);
});

Deno.test({
  name: "nor from another user, nor of another network namespace",
  ignore: ignoreUnless(Deno.uid() === 0, "to be another user, or elsewhere, needs root"),
  async fn() {
    const port = freePort();
    await using binder = await startBinder([], {
      args: ["--mode", "0666", "--allow-uid", "65534"],
    });
    const { sock, program: { pid } } = binder;
    const before = socketInodes(pid).length;
    const given = {
      params: [{ address: "0.0.0.0", port }],
      sockets: [["0.0.0.0", port, true] satisfies [string, number, boolean]],
    };
    const [stranger] = await handBack(sock, [...UNPRIVILEGED, ...SYSTEM], given);
    assertMatch(stranger?.error?.message ?? "", /^Not permitted: /);
    const [elsewhere] = await handBack(sock, ["unshare", "--net"], given);
    assertEquals(elsewhere?.result, ["refused: it is in another network namespace"]);
    await until(() => socketInodes(pid).length === before);
    assertEquals((await binderStatus(sock)).sockets, []);
  },
});

Deno.test({
  name: "whom --adopt-uid names hands back what root has made, and nothing of its own making",
  ignore: ignoreUnless(Deno.uid() === 0, "to be several users needs root"),
  async fn() {
    using folder = tempDir();
    using rendered = tempDir();
    Deno.chownSync(rendered.path, 65534, 65534);
    const target = newTarget();
    const address = addressOf(target);
    const sock = folder.file("sock");
    const own = freePort();
    const args = [
      ...["--mode", "0666", "--adopt-uid", "65534", "--allow", `${target.hostname}:${own}`],
    ];
    await using binders = new AsyncDisposableStack();
    const binder = binders.use(await startBinder([address], { sock, args }));
    const before = heldBy(binder.program.pid, sock);
    await using wrapper = await startWrapper(site(tag(target), "ok"), {
      sock,
      args: ["--render-dir", rendered.path, "--control", `${rendered.path}/control.sock`],
      through: UNPRIVILEGED,
    });
    await using load = new Load(target, { workers: 2 });
    await binder.program.end("SIGKILL");

    const next = binders.use(await startBinder([address], { sock, args }));
    assertEquals(heldBy(next.program.pid, sock), before);
    const [answer] = await handBack(sock, [...UNPRIVILEGED, ...SYSTEM], {
      params: [{ address: target.hostname, port: own }],
      sockets: [[target.hostname, own, true]],
    });
    const why = "refused: uid 65534 has made it, and neither root nor this binder's user";
    assertEquals(answer?.result, [why]);
    assertStrictEquals((await wrapper.reload()).ok, true);
    assertEquals((await load.stop()).failures, []);
  },
});

Deno.test("an address that a stranger holds is in use, which the binder says in the end", async () => {
  using folder = tempDir();
  using stranger = Deno.listen({ hostname: loopbackHost(), port: freePort() });
  const address = addressOf(stranger.addr);
  const sock = folder.file("sock");
  await using binder = startProgram([multibinder(), "bind", "--sock", sock, address]);
  // For five seconds it waits for the address, is not well, and says which it lacks.
  await until(async () => {
    const { code, stderr } = await runProgram([multibinder(), "healthcheck", "--sock", sock]);
    assertStrictEquals(code, 1);
    return stderr.includes(`does not hold ${address}: somebody else has it`);
  });
  assertStrictEquals((await binder.exited).code, 1);
  assertMatch(binder.stderr, new RegExp(`${address}: .* in use by \\S+ \\(pid ${Deno.pid}\\)`));
  assertThrows(() => Deno.lstatSync(sock), Deno.errors.NotFound);
});
