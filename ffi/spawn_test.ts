import {
  assert,
  assertEquals,
  assertMatch,
  assertNotStrictEquals,
  assertObjectMatch,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import fc from "fast-check";
import { ignoreIfEmulated } from "../tests/support/emulated.ts";
import { leavesNoDescriptors, openFile } from "../tests/support/descriptors.ts";
import { openFds } from "../tests/support/process.ts";
import { tempDir } from "../tests/support/temp_dir.ts";
import { check, SystemError } from "./errno.ts";
import { RLIMIT_NOFILE, SIG_BLOCK, SIGNALS } from "./constants.ts";
import { Fd } from "./fd.ts";
import { LAYOUT } from "./layout.ts";
import { libc } from "./libc.ts";
import { createMemfd, readText, writeText } from "./memfd.ts";
import { createPipe } from "./pipe.ts";
import { sendSignal, unblockSignals } from "./process.ts";
import { fdLimit, raiseFdLimit } from "./rlimit.ts";
import { spawn, type SpawnOptions } from "./spawn.ts";

/** Waits for a child that ends by itself, and returns its status as wait(2) encodes it. */
function waitFor(pid: number): number {
  const status = new Int32Array(1);
  assertStrictEquals(check("waitpid", () => libc().waitpid(pid, status, 0)), pid);
  return status[0] ?? -1;
}

/** Runs a shell command to its end. */
function run(command: string, options: Partial<SpawnOptions>): void {
  const pid = spawn({ argv: ["/bin/sh", "-c", command], env: {}, ...options });
  assertStrictEquals(waitFor(pid), 0);
}

/**
 * Looks at a running child: a `cat` that has answered once, so that what is seen is neither its start nor what a
 * tool does to look at itself.
 */
function inspectChild(fds: readonly Fd[], look: (pid: number) => void): void {
  const { reader: stdin, writer: input } = createPipe();
  const { reader: output, writer: stdout } = createPipe();
  const pid = spawn({ argv: ["cat"], env: {}, fds, stdin, stdout });
  try {
    stdin.close();
    stdout.close();
    writeText(input, "x");
    assertStrictEquals(check("read", () => libc().read(output.number, new Uint8Array(1), 1n)), 1);
    look(pid);
  } finally {
    input.close();
    output.close();
    assertStrictEquals(waitFor(pid), 0);
  }
}

/** A line of a process's status, such as `SigIgn`. */
function statusOf(pid: number | "self", key: string): string | undefined {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return new RegExp(`^${key}:\\s*(.*)$`, "m").exec(status)?.[1];
}

Deno.test("a child has 0, 1, 2 and the descriptors given, from 3 on, and no other", async () => {
  await leavesNoDescriptors(() => {
    using file = createMemfd("given");
    using low = createMemfd("inheritable");
    low.closeOnExec = false;
    using high = low.duplicate(700);
    high.closeOnExec = false;
    inspectChild([], (pid) => {
      assertEquals([...openFds(pid).keys()].sort(), [0, 1, 2]);
    });
    inspectChild([file, high, file], (pid) => {
      const fds = openFds(pid);
      assertEquals([...fds.keys()].sort(), [0, 1, 2, 3, 4, 5]);
      assertEquals([3, 4, 5].map((number) => fds.get(number)), [
        openFile(file),
        openFile(high),
        openFile(file),
      ]);
      assertStrictEquals(fds.get(2), openFile(new Fd(2)));
    });
    assertStrictEquals(file.closeOnExec, true);
    assertStrictEquals(high.closeOnExec, false);
  });
});

Deno.test("any descriptors, whatever their numbers, repeated and permuted, arrive in order", async () => {
  const numbers = fc.uniqueArray(fc.integer({ min: 3, max: 60 }), { minLength: 1, maxLength: 12 });
  const picks = fc.array(fc.nat(), { maxLength: 80, size: "max" });
  await leavesNoDescriptors(() =>
    fc.assert(
      fc.property(numbers, picks, fc.boolean(), (numbers, picks, inheritable) => {
        const files = numbers.map((number, index) => {
          using file = createMemfd(`file-${index}`);
          const fd = file.duplicate(number);
          fd.closeOnExec = !inheritable;
          return fd;
        });
        const given = picks.flatMap((pick) => files[pick % files.length] ?? []);
        try {
          inspectChild(given, (pid) => {
            const fds = openFds(pid);
            assertStrictEquals(fds.size, 3 + given.length);
            assertEquals(given.map((_, index) => fds.get(3 + index)), given.map(openFile));
          });
        } finally {
          files.forEach((file) => file.close());
        }
      }),
      { numRuns: 60 },
    )
  );
});

Deno.test("hundreds of descriptors arrive", async () => {
  await leavesNoDescriptors(() => {
    const files = Array.from({ length: 600 }, (_, index) => createMemfd(`file-${index}`));
    inspectChild(files.toReversed(), (pid) => {
      const fds = openFds(pid);
      assertStrictEquals(fds.size, 603);
      assertStrictEquals(fds.get(3), openFile(files[599] ?? new Fd(-1)));
      assertStrictEquals(fds.get(602), openFile(files[0] ?? new Fd(-1)));
    });
    files.forEach((file) => file.close());
  });
});

Deno.test("the standard descriptors can be changed for one another", () => {
  using first = createMemfd("first");
  using second = createMemfd("second");
  using third = createMemfd("third");
  run("echo to-stdout; echo to-stderr >&2", { stdout: first, stderr: second });
  assertStrictEquals(readText(first, 100), "to-stdout\n");
  assertStrictEquals(readText(second, 100), "to-stderr\n");

  // 0 becomes 1 and 1 becomes 0: each would be lost if it were not moved out of the way.
  const [stdin, stdout] = [new Fd(0), new Fd(1)];
  const command = "links=$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/3 /proc/$$/fd/4);" +
    'echo "$links" >&2';
  run(command, { stdin: stdout, stdout: stdin, stderr: third, fds: [stdout, stdin] });
  const expected = [stdout, stdin, stdout, stdin].map(openFile).join("\n");
  assertStrictEquals(readText(third, 1000), `${expected}\n`);
});

Deno.test("arguments and environment are those given", () => {
  using output = createMemfd("output");
  const pid = spawn({
    argv: ["sh", "-c", 'printf "%s|" "$@"; env', "sh", "", "a b", "ü\n"],
    env: { PATH: "/usr/bin:/bin", EMPTY: "", NAME: "a=b" },
    stdout: output,
  });
  assertStrictEquals(waitFor(pid), 0);
  const [args = "", rest = ""] = readText(output, 1000).split("ü\n|");
  assertStrictEquals(args, "|a b|");
  const variables = rest.trim().split("\n").filter((line) => !/^(PWD|_|SHLVL)=/.test(line));
  assertEquals(variables.sort(), ["EMPTY=", "NAME=a=b", "PATH=/usr/bin:/bin"]);
  assertThrows(() => spawn({ argv: ["sh", "a\0b"], env: {} }), TypeError);
});

Deno.test("no signal is blocked or ignored in a child, though some are here", () => {
  const sigpipe = 1n << 12n;
  assert(BigInt(`0x${statusOf("self", "SigIgn")}`) & sigpipe, "the runtime ignores SIGPIPE");
  const set = new Uint8Array(LAYOUT.sigset_t.size);
  set[(SIGNALS.SIGUSR2 - 1) >> 3] = 1 << ((SIGNALS.SIGUSR2 - 1) & 7);
  libc().pthread_sigmask(SIG_BLOCK, set, new Uint8Array(LAYOUT.sigset_t.size));
  try {
    inspectChild([], (pid) => {
      for (const key of ["SigBlk", "SigIgn", "SigCgt"]) {
        assertMatch(statusOf(pid, key) ?? "", /^0+$/, key);
      }
    });
  } finally {
    unblockSignals();
  }
});

Deno.test("a child leads a session of its own, in which no signal for job control stops it", () => {
  inspectChild([], (pid) => {
    for (const key of ["NSpgid", "NSsid"]) {
      assertStrictEquals(statusOf(pid, key), String(pid));
      assertNotStrictEquals(statusOf("self", key), String(pid));
    }
    // A child that is stopped would not end.
    for (const signal of ["SIGTTOU", "SIGTTIN"] as const) sendSignal(pid, signal);
  });
});

Deno.test("a child has the soft descriptor limit of before it was raised, or one that leaves room", () => {
  const initial = 300;
  const { hard } = fdLimit();
  const limit = new Uint8Array(new BigUint64Array([BigInt(initial), hard]).buffer);
  check("setrlimit", () => libc().setrlimit(RLIMIT_NOFILE, limit));
  raiseFdLimit();
  using file = createMemfd("file");
  // A number above the child's limit is no obstacle.
  using high = file.duplicate(500);
  for (const [count, soft] of [[0, initial], [10, initial], [300, 559]] as const) {
    inspectChild(Array(count).fill(high), (pid) => {
      const limits = Deno.readTextFileSync(`/proc/${pid}/limits`);
      const [, childSoft, childHard] = /^Max open files +(\d+) +(\d+)/m.exec(limits) ?? [];
      assertEquals([childSoft, childHard], [String(soft), String(hard)]);
    });
    assertEquals(fdLimit(), { soft: hard, hard });
  }
});

const noVfork = ignoreIfEmulated("its vfork is a fork, which tells posix_spawn of no failure");

Deno.test("what cannot be started says why, and leaves nothing open", noVfork, async () => {
  using dir = tempDir();
  Deno.writeTextFileSync(dir.file("plain"), "#!/bin/sh\n", { mode: 0o644 });
  Deno.writeTextFileSync(dir.file("text"), "not a program", { mode: 0o755 });
  Deno.writeTextFileSync(dir.file("orphan"), "#!/nonexistent/shell\n", { mode: 0o755 });
  const cases: [string, string, string][] = [
    [dir.file("missing"), "ENOENT", "No such file or directory"],
    ["multibinder-no-such-program", "ENOENT", "No such file or directory"],
    [dir.file("orphan"), "ENOENT", "No such file or directory"],
    [dir.file("plain"), "EACCES", "Permission denied"],
    [dir.path, "EACCES", "Permission denied"],
    [dir.file("text"), "ENOEXEC", "Exec format error"],
  ];
  using file = createMemfd("file");
  await leavesNoDescriptors(() => {
    for (const [program, code, words] of cases) {
      assertObjectMatch(
        assertThrows(() => spawn({ argv: [program], env: {}, fds: [file, file] }), SystemError),
        { syscall: program, code, message: `${program}: ${words} (${code})` },
      );
    }
    // Not even the child that could not execute.
    assertObjectMatch(assertThrows(() => waitFor(-1), Error), { code: "ECHILD" });
  });
});

Deno.test("a closed descriptor is not given", noVfork, async () => {
  using open = createMemfd("open");
  const closed = createMemfd("closed");
  closed.close();
  await leavesNoDescriptors(() => {
    assertThrows(
      () => spawn({ argv: ["true"], env: {}, fds: [open, closed] }),
      Error,
      /after it was/,
    );
    assertObjectMatch(
      assertThrows(() => spawn({ argv: ["true"], env: {}, fds: [new Fd(9000)] }), Error),
      { code: "EBADF" },
    );
  });
});
