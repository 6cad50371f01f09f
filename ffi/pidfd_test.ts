import {
  assert,
  assertNotStrictEquals,
  assertObjectMatch,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { leavesNoDescriptors, openFile } from "../tests/support/descriptors.ts";
import { startProgram } from "../tests/support/program.ts";
import { POLLIN } from "./constants.ts";
import { SystemError } from "./errno.ts";
import { createMemfd } from "./memfd.ts";
import { copyDescriptor, openProcess, signalProcess } from "./pidfd.ts";
import { Poller } from "./poll.ts";

const poller = new Poller();

/** One more than Linux gives to any process (PID_MAX_LIMIT). */
const NO_PID = 2 ** 22 + 1;

Deno.test("a process is signalled, and its end is told, for ever", async () => {
  await leavesNoDescriptors(async () => {
    await using program = startProgram(["sleep", "1000"]);
    using process = openProcess(program.pid);
    assert(process !== undefined && process.closeOnExec);
    assertStrictEquals(await poller.wait(process, POLLIN, 0), 0, "it runs");
    const ended = poller.wait(process, POLLIN);
    assertStrictEquals(signalProcess(process, "SIGTERM"), true);
    assertStrictEquals(await ended & POLLIN, POLLIN);
    assertStrictEquals((await program.exited).signal, "SIGTERM");
    assertStrictEquals(signalProcess(process, "SIGTERM"), false);
  });
});

Deno.test("a process that is not there is told from one that cannot be", () => {
  assertStrictEquals(openProcess(NO_PID), undefined);
  for (const pid of [0, -1]) {
    assertObjectMatch(assertThrows(() => openProcess(pid), SystemError), { code: "EINVAL" });
  }
});

Deno.test("what is no process is not signalled", () => {
  using file = createMemfd("none");
  assertObjectMatch(assertThrows(() => signalProcess(file, "SIGTERM"), Error), {
    syscall: "pidfd_send_signal",
  });
});

Deno.test("a descriptor of a process is copied, close-on-exec", () => {
  using process = openProcess(Deno.pid);
  assert(process !== undefined);
  using file = createMemfd("copied");
  file.closeOnExec = false;
  using copy = copyDescriptor(process, file.number);
  assertNotStrictEquals(copy.number, file.number);
  assertStrictEquals(openFile(copy), openFile(file));
  assertStrictEquals(copy.closeOnExec, true);
  assertObjectMatch(assertThrows(() => copyDescriptor(process, 999_999), Error), { code: "EBADF" });
});
