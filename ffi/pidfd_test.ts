import assert from "node:assert/strict";
import { leavesNoDescriptors, openFile } from "../tests/support/descriptors.ts";
import { startProgram } from "../tests/support/program.ts";
import { POLLIN } from "./constants.ts";
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
    assert.equal(await poller.wait(process, POLLIN, 0), 0, "it runs");
    const ended = poller.wait(process, POLLIN);
    assert.equal(signalProcess(process, "SIGTERM"), true);
    assert.equal(await ended & POLLIN, POLLIN);
    assert.equal((await program.exited).signal, "SIGTERM");
    assert.equal(signalProcess(process, "SIGTERM"), false);
  });
});

Deno.test("a process that is not there is told from one that cannot be", () => {
  assert.equal(openProcess(NO_PID), undefined);
  for (const pid of [0, -1]) {
    assert.throws(() => openProcess(pid), { name: "SystemError", code: "EINVAL" });
  }
});

Deno.test("what is no process is not signalled", () => {
  using file = createMemfd("none");
  assert.throws(() => signalProcess(file, "SIGTERM"), { syscall: "pidfd_send_signal" });
});

Deno.test("a descriptor of a process is copied, close-on-exec", () => {
  using process = openProcess(Deno.pid);
  assert(process !== undefined);
  using file = createMemfd("copied");
  file.closeOnExec = false;
  using copy = copyDescriptor(process, file.number);
  assert.notEqual(copy.number, file.number);
  assert.equal(openFile(copy), openFile(file));
  assert.equal(copy.closeOnExec, true);
  assert.throws(() => copyDescriptor(process, 999_999), { code: "EBADF" });
});
