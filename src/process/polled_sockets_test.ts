import { assert, assertEquals, assertStrictEquals, fail } from "@std/assert";
import { leavesNoDescriptors } from "../../tests/support/descriptors.ts";
import { silentLog } from "../../tests/support/local_binder.ts";
import { openFds, polledInodes } from "../../tests/support/process.ts";
import { until } from "../../tests/support/process_status.ts";
import { type Program, startProgram } from "../../tests/support/program.ts";
import { ignoreUnless } from "../../tests/support/users.ts";
import { POLLIN } from "../../ffi/constants.ts";
import { openProcess } from "../../ffi/pidfd.ts";
import { Poller } from "../../ffi/poll.ts";
import { spawn } from "../../ffi/spawn.ts";
import type { Children } from "./children.ts";
import { PolledSockets } from "./polled_sockets.ts";

const poller = new Poller();

/**
 * Polls the sockets 3, 4 and 5, and 4 once more as 14, which another process has open, too. It closes the
 * descriptors whose numbers a line of its input has, and opens something else under these numbers.
 */
const SERVER = `
import os, select, signal, socket, sys
if sys.argv[1:]: os.setuid(int(sys.argv[1]))
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
assert [one.fileno() for one in sockets] == [3, 4, 5]
os.dup2(4, 14)
if os.fork() == 0:
    signal.pause()
sets = [select.epoll() for _ in range(2)]
for one in sets:
    for number in [3, 4, 5, 14]: one.register(number)
print("polls", flush=True)
for line in sys.stdin:
    for number in line.split():
        os.close(int(number))
        os.open("/dev/null", os.O_RDONLY)
    print("closed", line.strip(), flush=True)
`;

/** Starts programs as {@link Children} does, but reaps no program that another test has started. */
const children: Pick<Children, "start"> = {
  start(options) {
    const pid = spawn(options);
    const ended = async () => {
      using process = openProcess(pid) ?? fail("it cannot have been reaped");
      await poller.wait(process, POLLIN);
      return { code: 0 };
    };
    return { pid, exited: ended() };
  },
};

/** Starts it. @param user the uid that it is to have, if not ours */
async function startServer(
  user: readonly string[] = [],
): Promise<{ program: Program; inodes: number[] }> {
  const program = startProgram(["python3", "-c", SERVER, ...user], { stdin: "piped" });
  await program.waitFor(/^polls$/);
  const fds = openFds(program.pid);
  const inodes = [3, 4, 5].map((number) => Number(/\d+/.exec(fds.get(number) ?? "")?.[0]));
  return { program, inodes };
}

Deno.test("what a process has closed is taken out of its sets, and nothing else", async () => {
  await leavesNoDescriptors(async () => {
    const { program, inodes } = await startServer();
    await using _ = program;
    const [first = 0, second = 0, third = 0] = inodes;
    // Of three it was lent two.
    const polled = PolledSockets.of(program.pid, 2, true, silentLog);
    assert(polled);
    const forgotten = polled.forget(poller, children, silentLog);
    assertEquals(polledInodes(program.pid), new Set(inodes));
    await program.write("4 5 14\n");
    await until(() => !polledInodes(program.pid).has(second));
    assertEquals(polledInodes(program.pid), new Set([first, third]), `${third} was not lent`);
    // The other one follows later.
    await program.write("3\n");
    await forgotten;
    assertEquals(polledInodes(program.pid), new Set([third]));
  });
});

Deno.test({
  name: "of a process that others have started, no socket is copied that a stranger has made",
  ignore: ignoreUnless(Deno.uid() === 0, "to be another user needs root"),
  fn: async () => {
    await leavesNoDescriptors(async () => {
      await using mine = (await startServer()).program;
      const polled = PolledSockets.of(mine.pid, 3, false, silentLog);
      assertStrictEquals(polled?.sockets.size, 4);
      polled[Symbol.dispose]();
      const { program } = await startServer(["65534"]);
      await using _ = program;
      assertStrictEquals(PolledSockets.of(program.pid, 3, false, silentLog), undefined);
    });
  },
});

Deno.test("a process that ends is left alone", async () => {
  await leavesNoDescriptors(async () => {
    const { program } = await startServer();
    await using _ = program;
    const polled = PolledSockets.of(program.pid, 3, true, silentLog);
    assert(polled);
    const children = { start: () => fail("something was started") };
    const forgotten = polled.forget(poller, children, silentLog);
    program.signal("SIGKILL");
    await forgotten;
  });
});

Deno.test("where there is nothing to take out, nothing is held", async () => {
  await leavesNoDescriptors(async () => {
    const { program } = await startServer();
    await using _ = program;
    assertStrictEquals(PolledSockets.of(program.pid, 0, true, silentLog), undefined);
    await using idle = startProgram(["sleep", "1000"]);
    await until(() => openFds(idle.pid).size > 0);
    assertStrictEquals(PolledSockets.of(idle.pid, 3, true, silentLog), undefined);
    assertStrictEquals(PolledSockets.of(2 ** 22 + 1, 3, true, silentLog), undefined);
  });
});
