import {
  assertEquals,
  assertMatch,
  assertNotMatch,
  assertObjectMatch,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { ignoreIfEmulated } from "../tests/support/emulated.ts";
import { leavesNoDescriptors } from "../tests/support/descriptors.ts";
import { type Program, startProgram } from "../tests/support/program.ts";
import { tempDir } from "../tests/support/temp_dir.ts";
import { SystemError } from "./errno.ts";
import { createMemfd, writeText } from "./memfd.ts";
import { createPipe } from "./pipe.ts";
import { AF_UNIX, POLLIN, SOCK_STREAM } from "./constants.ts";
import { Poller } from "./poll.ts";
import {
  effectiveUid,
  execute,
  type ExitStatus,
  reap,
  sendSignal,
  unblockSignals,
  withUmask,
} from "./process.ts";
import { bindSocket, createSocket } from "./socket.ts";
import { spawn } from "./spawn.ts";

const poller = new Poller();

/**
 * Runs `action`, and then reaps the children that it names, at each SIGCHLD. There may be others: under qemu,
 * discarding a descriptor leaves a child of the ordinary kind.
 */
async function reaping(action: () => number[]): Promise<Map<number, ExitStatus>> {
  const ended = new Map<number, ExitStatus>();
  const { promise, resolve } = Promise.withResolvers<void>();
  let wanted: number[] | undefined;
  const listener = () => {
    for (let child = reap(); child !== undefined; child = reap()) {
      ended.set(child.pid, child.status);
    }
    if (wanted?.every((pid) => ended.has(pid))) resolve();
  };
  Deno.addSignalListener("SIGCHLD", listener);
  // A listener alone does not keep the program running, as a wait does.
  const { reader, writer } = createPipe();
  using waited = reader;
  using ending = writer;
  const wait = poller.wait(waited, POLLIN);
  try {
    wanted = action();
    await promise;
    writeText(ending, "x");
    await wait;
    return ended;
  } finally {
    Deno.removeSignalListener("SIGCHLD", listener);
  }
}

function statusLine(key: string): string | undefined {
  return new RegExp(`^${key}:\\s*(.*)$`, "m").exec(Deno.readTextFileSync("/proc/self/status"))?.[1];
}

Deno.test("children are reaped with their exit codes, whatever their order", async () => {
  const codes = [0, 1, 127, 255];
  let pids: number[] = [];
  const ended = await reaping(() =>
    pids = codes.map((code) => spawn({ argv: ["/bin/sh", "-c", `exit ${code}`], env: {} }))
  );
  assertEquals(pids.map((pid) => ended.get(pid)), codes.map((code) => ({ code })));
  assertStrictEquals(reap(), undefined);
});

Deno.test("a child that still runs is not reaped, and its killer is told", async () => {
  const { reader, writer } = createPipe();
  using stdin = reader;
  using _open = writer;
  for (const [name, signal] of [["SIGTERM", 15], ["SIGKILL", 9], ["SIGUSR1", 10]] as const) {
    let pid = 0;
    const ended = await reaping(() => {
      pid = spawn({ argv: ["cat"], env: {}, stdin });
      assertStrictEquals(reap(), undefined);
      assertStrictEquals(sendSignal(pid, name), true);
      return [pid];
    });
    assertEquals(ended.get(pid), { signal });
    assertStrictEquals(sendSignal(pid, name), false);
  }
});

Deno.test("what is no pid of one process is never signalled", () => {
  for (const pid of [0, -1, -Deno.pid, -Infinity]) {
    assertThrows(() => sendSignal(pid, "SIGTERM"), RangeError, undefined, String(pid));
  }
  // As a C int, the first three of these would be 0, our own process group.
  for (const pid of [NaN, 2 ** 32, Infinity, 2 ** 32 + 1, 1.5]) {
    assertThrows(() => sendSignal(pid, "SIGTERM"), TypeError, undefined, String(pid));
  }
});

Deno.test("the mode of what is created is held back by the mask, for the action alone", () => {
  using dir = tempDir();
  const before = statusLine("Umask");
  using socket = createSocket(AF_UNIX, SOCK_STREAM);
  const made = withUmask(0o117, () => {
    bindSocket(socket, { family: "unix", path: dir.file("socket") });
    return "made";
  });
  assertStrictEquals(made, "made");
  assertStrictEquals((Deno.statSync(dir.file("socket")).mode ?? 0) & 0o777, 0o660);
  assertStrictEquals(statusLine("Umask"), before);
  assertThrows(
    () =>
      withUmask(0o777, () => {
        throw new Error("expected");
      }),
    Error,
    /expected/,
  );
  assertStrictEquals(statusLine("Umask"), before);
});

Deno.test("the effective user is the runtime's", () => {
  assertStrictEquals(effectiveUid(), Deno.uid());
});

Deno.test("a program that cannot be executed leaves this one as it was", async () => {
  using dir = tempDir();
  Deno.writeTextFileSync(dir.file("plain"), "#!/bin/sh\n", { mode: 0o644 });
  Deno.writeTextFileSync(dir.file("text"), "not a program", { mode: 0o755 });
  Deno.writeTextFileSync(dir.file("empty"), "", { mode: 0o755 });
  using file = createMemfd("file");
  const mask = statusLine("SigBlk");
  await leavesNoDescriptors(() => {
    for (
      const [path, code] of [
        [dir.file("missing"), "ENOENT"],
        [dir.file("plain/below"), "ENOTDIR"],
        [dir.file("plain"), "EACCES"],
        [dir.path, "EACCES"],
        [dir.file("text"), "ENOEXEC"],
        [dir.file("empty"), "ENOEXEC"],
      ] as const
    ) {
      assertObjectMatch(
        assertThrows(() => execute(path, [path], { A: "b" }, ["SIGUSR1", "SIGTERM"]), SystemError),
        { syscall: "execve", code },
      );
      assertStrictEquals(statusLine("SigBlk"), mask);
    }
  });
  assertStrictEquals(file.closeOnExec, true);
});

/** Starts a Deno program that may import this folder's modules from the URL in `ffi`. */
function startDeno(code: string): Program {
  const head = `const ffi = ${JSON.stringify(import.meta.resolve("./"))};\n`;
  return startProgram([Deno.execPath(), "eval", head + code], { stdin: "piped" });
}

const noProgram = ignoreIfEmulated("this machine cannot start a second emulated Deno");

Deno.test(
  "execute keeps the pid and the descriptors that may be inherited, and nothing else",
  noProgram,
  async () => {
    await using program = startDeno(`
    const { execute } = await import(ffi + "process.ts");
    const { createMemfd, writeText } = await import(ffi + "memfd.ts");
    const kept = createMemfd("kept");
    kept.closeOnExec = false;
    writeText(kept, "kept text");
    const closed = createMemfd("closed");
    const script = 'echo "$$ $NAME $#"; cat /proc/self/fd/$1; echo; env | wc -l; ls -l /proc/$$/fd';
    execute("/bin/sh", ["sh", "-c", script, "sh", String(kept.number)], { NAME: "value" }, []);
  `);
    const { code } = await program.exited;
    assertStrictEquals(code, 0, program.stderr);
    const [first, second, , ...fds] = program.stdout.split("\n");
    assertStrictEquals(first, `${program.pid} value 1`);
    assertStrictEquals(second, "kept text");
    assertMatch(fds.join("\n"), /memfd:kept/);
    assertNotMatch(fds.join("\n"), /memfd:closed/);
  },
);

Deno.test("a signal that execute blocked waits for the new program", noProgram, async () => {
  const second = `
    const { unblockSignals } = await import(ffi + "process.ts");
    Deno.addSignalListener("SIGUSR2", () => {
      console.log("delivered");
      Deno.exit(7);
    });
    console.log("blocked");
    await Deno.stdin.read(new Uint8Array(1));
    const pending = /^ShdPnd:\\s*(.*)$/m.exec(Deno.readTextFileSync("/proc/self/status"))[1];
    console.log("pending " + (parseInt(pending, 16) >> 11 & 1));
    unblockSignals();
    await Deno.stdin.read(new Uint8Array(1)); // a listener alone does not keep the program running
  `;
  await using program = startDeno(`
    const { execute } = await import(ffi + "process.ts");
    const code = ${JSON.stringify(second)};
    const argv = ["deno", "eval", "const ffi = " + JSON.stringify(ffi) + ";" + code];
    execute(Deno.execPath(), argv, Deno.env.toObject(), ["SIGUSR2"]);
  `);
  await program.waitFor(/^blocked$/);
  program.signal("SIGUSR2");
  await program.write("\n");
  await program.waitFor(/^delivered$/);
  assertMatch(program.stdout, /^pending 1$/m);
  assertEquals(await program.exited, { code: 7, signal: null });
});

Deno.test("unblocking twice does no harm", () => {
  unblockSignals();
  unblockSignals();
  assertMatch(statusLine("SigBlk") ?? "", /^0+$/);
});
