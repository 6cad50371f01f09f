import { assert, assertEquals, assertMatch, assertRejects, assertStrictEquals } from "@std/assert";
import "../../tests/support/libc.ts";
import { SO_REUSEPORT, SOL_SOCKET } from "../../ffi/constants.ts";
import { acceptQueue, connectUnix, getOption } from "../../ffi/socket.ts";
import { leavesNoDescriptors } from "../../tests/support/descriptors.ts";
import { until } from "../../tests/support/process_status.ts";
import { type Program, startProgram } from "../../tests/support/program.ts";
import { freePort, loopbackHost, tempDir } from "../../tests/support/temp_dir.ts";
import { ignoreUnless, UNPRIVILEGED } from "../../tests/support/users.ts";
import { UserError } from "../errors.ts";
import { numericAddress, splitAddress } from "./address.ts";
import { expandAddresses } from "./address_list.ts";
import { type Holder, takeSockets } from "./taken_sockets.ts";

/** Listens on each address given, a socket or more, and has other descriptors as well. */
const LISTENER = `
import os, signal, socket, sys
kept = [open("/dev/null"), socket.socketpair()]
for word in sys.argv[1:]:
    kind, rest = word.split(" ", 1)
    host, port, count = rest.rsplit(" ", 2)
    for _ in range(int(count)):
        family = {"unix": socket.AF_UNIX, "tcp6": socket.AF_INET6}.get(kind, socket.AF_INET)
        one = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
        if kind == "tcp":
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if host.startswith("@"):
            host = ("\\0" + host[1:]).ljust(int(port), "\\0")
        one.bind(host if kind == "unix" else (host, int(port)))
        if kind != "udp":
            one.listen(77)
        kept.append(one)
print("up", flush=True)
signal.pause()
`;

async function startListener(words: string[], through: string[] = []): Promise<Program> {
  const [file = "", ...args] = [...through, "python3", "-c", LISTENER, ...words];
  const program = startProgram([file, ...args]);
  await program.waitFor(/^up$/);
  return program;
}

const addressesOf = (text: string) =>
  expandAddresses(text).map((one) => {
    const address = numericAddress(splitAddress(one));
    assert(address !== undefined);
    return address;
  });
const take = (text: string, holder: Holder) => takeSockets(addressesOf(text), holder);

async function refusal(text: string, holder: Holder): Promise<string> {
  return (await assertRejects(() => take(text, holder), UserError)).message;
}

Deno.test("the socket of a process is taken with what waits in its queue, by its pid or whoever it is", async () => {
  using dir = tempDir();
  const [host, path] = [loopbackHost(), dir.file("site.sock")];
  const list = `${host}:8000,udp:${host}:8001,unix:${path}`;
  for (const auto of [false, true]) {
    await leavesNoDescriptors(async () => {
      const words = [`tcp ${host} 8000 1`, `udp ${host} 8001 1`, `unix ${path} 0 1`];
      await using listener = await startListener(words);
      const connection = await Deno.connect({ hostname: host, port: 8000 });
      const taken = await take(list, auto ? "auto" : listener.pid);
      assertEquals(
        taken.map(({ held, pid, command }) => [held.address, pid, command]),
        addressesOf(list).map((address) => [address, listener.pid, "python3"]),
      );
      const [tcp] = taken;
      assert(tcp !== undefined);
      assertEquals([tcp.held.backlog, acceptQueue(tcp.held.fd).length], [77, 1]);
      assertStrictEquals(
        getOption(tcp.held.fd, SOL_SOCKET, SO_REUSEPORT),
        0,
        "nobody gets between",
      );
      assertStrictEquals(taken[2]?.held.file?.inode, Deno.lstatSync(path).ino ?? 0);
      listener.signal("SIGKILL");
      await listener.exited;
      assertStrictEquals(acceptQueue(tcp.held.fd).length, 1, "it waits all the same");
      connectUnix(path).close();
      taken.forEach(({ held }) => held.fd.close());
      connection.close();
      Deno.removeSync(path);
    });
  }
});

Deno.test("one in the abstract namespace is taken by its name, with zeros behind it and without", async () => {
  const name = `multibinder test ${crypto.randomUUID()}`;
  for (const [text, length] of [[`unix:@${name}`, 0], [`abns@${name}`, 108]] as const) {
    await using listener = await startListener([`unix @${name} ${length} 1`]);
    const taken = await take(text, listener.pid);
    assertEquals(taken.map(({ held }) => held.address), addressesOf(text));
    connectUnix(`\0${name}`.padEnd(length, "\0")).close();
    taken.forEach(({ held }) => held.fd.close());
  }
});

Deno.test("sockets that share an address are taken all together", async () => {
  const text = `${loopbackHost()}:8000`;
  await using listener = await startListener([`tcp ${text.replace(":", " ")} 3`]);
  const taken = await take(`${text},reuseport=3`, listener.pid);
  assertEquals(taken.map(({ held }) => held.address), addressesOf(`${text},reuseport=3`));
  assertStrictEquals(
    new Set(taken.map(({ held }) => Deno.statSync(`/proc/self/fd/${held.fd.number}`).ino)).size,
    3,
  );
  taken.forEach(({ held }) => held.fd.close());
  for (const other of [text, `${text},reuseport=2`]) {
    assertStrictEquals(
      await refusal(other, listener.pid),
      `cannot take ${text}: python3 (pid ${listener.pid}) listens on it with 3 sockets: name ` +
        `${text},reuseport=3`,
    );
  }
});

Deno.test("what is not to be had is refused with the reason, and nothing is taken", async () => {
  const [host, port] = [loopbackHost(), freePort()];
  await using listener = await startListener([`tcp ${host} 8000 1`, `tcp6 :: ${port} 1`]);
  await using other = await startListener([`tcp ${host} 8001 1`]);
  const who = `python3 \\(pid ${listener.pid}\\)`;
  await leavesNoDescriptors(async () => {
    const table: [text: string, holder: Holder, why: string][] = [
      [`${host}:9`, listener.pid, `${who} does not listen on it$`],
      [`${host}:8000,${host}:9`, listener.pid, `take ${host}:9: ${who} does not listen on it$`],
      [
        `${host}:8001`,
        listener.pid,
        `${who} does not listen on it, but somebody else: try --take auto`,
      ],
      [`udp:${host}:8000`, listener.pid, `${who} does not listen on it$`],
      [`unix:/run/nothing`, listener.pid, `${who} does not listen on it$`],
      [`:8000`, listener.pid, `${who} listens on ${host}:8000: name that`],
      [`${host}:${port}`, listener.pid, `${who} listens on \\[::\\]:${port},v4v6: name that`],
      [`${host}:${port}`, "auto", `its holder listens on \\[::\\]:${port},v4v6: name that`],
      [`${host}:8000`, 2 ** 22 + 1, "there is no process with pid 4194305"],
    ];
    for (const [text, holder, why] of table) {
      assertMatch(await refusal(text, holder), new RegExp(why), text);
    }
    assertEquals(await take(`${host}:9`, "auto"), [], "there is nobody to take it from");
  });
  assertStrictEquals(other.ended, false);
});

Deno.test({
  name:
    "what another user has made is taken from the pid that is named, and not from whoever listens",
  ignore: ignoreUnless(Deno.uid() === 0, "to be another user needs root"),
  async fn() {
    const host = loopbackHost();
    await using listener = await startListener([`tcp ${host} 8000 1`], [
      ...UNPRIVILEGED,
      ...["env", "PATH=/usr/bin:/bin"],
    ]);
    await leavesNoDescriptors(async () => {
      assertMatch(
        await refusal(`${host}:8000`, "auto"),
        new RegExp(`uid 65534 has made the socket .* --take ${listener.pid}$`),
      );
      const [taken] = await take(`${host}:8000`, listener.pid);
      assertStrictEquals(taken?.pid, listener.pid);
      taken.held.fd.close();
    });
  },
});

Deno.test({
  name: "a socket in another network namespace is not taken",
  ignore: ignoreUnless(Deno.uid() === 0, "only root makes network namespaces"),
  async fn() {
    const port = freePort();
    await using listener = await startListener([`tcp 0.0.0.0 ${port} 1`], ["unshare", "--net"]);
    await until(() => !listener.ended);
    assertMatch(
      await refusal(`:${port}`, listener.pid),
      /python3 \(pid \d+\) is in another network namespace$/,
    );
  },
});
