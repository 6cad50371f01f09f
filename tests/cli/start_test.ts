/** The first moments of a role, and what it needs of the machine. */

import { assert, assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { multibinder, startBinder } from "../support/binder.ts";
import { site, tag, Wrapper, wrapperCommand } from "../support/haproxy.ts";
import { newTarget } from "../support/http_client.ts";
import { processStatus, signalsIn, until } from "../support/process_status.ts";
import { runProgram, startProgram } from "../support/program.ts";
import { tempDir } from "../support/temp_dir.ts";
import { ignoreUnless } from "../support/users.ts";
import { waitForStatus } from "../support/wait_for_status.ts";

/** The numbers of the signals below, on both processors. */
const NUMBERS = [1, 10, 12, 15];
const SIGNALS = ["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGTERM"] as const;

/** Blocks signals from its own start on; coreutils 8.31 has it. */
const BLOCKED = ["env", "--block-signal=HUP,USR1,USR2,TERM"];

const hasAll = (pid: number, mask: "SigCgt" | "SigBlk") =>
  processStatus(pid, mask) !== undefined &&
  NUMBERS.every((number) => signalsIn(pid, mask).includes(number));

/** The first thing that a role does is to raise its soft limit of descriptors to the hard one. */
const LIMITED = ["prlimit", "--nofile=500:600"] as const;

/**
 * Whether a role has raised its limit. A handler that the kernel has is not enough to see that it has begun: the
 * runtime passes signals on to the program only a moment later.
 */
const hasBegun = (pid: number) =>
  /^Max open files +600/m.test(Deno.readTextFileSync(`/proc/${pid}/limits`));

/** Whether a signal can be sent by now: it waits, being blocked, or the role listens. */
const mayCome = (pid: number, isBlocked: boolean) =>
  (isBlocked && hasAll(pid, "SigBlk")) || (hasAll(pid, "SigCgt") && hasBegun(pid));

Deno.test("signals are caught before a role does anything", async () => {
  using folder = tempDir();
  const bind = [multibinder(), "bind", "--sock", folder.file("sock")];
  await using program = startProgram([...LIMITED, ...bind]);
  const { pid } = program;
  await until(() => hasBegun(pid));
  assert(hasAll(pid, "SigCgt"), processStatus(pid, "SigCgt"));
});

for (
  const [when, through, isBlocked] of [
    ["are caught", [], false],
    ["are blocked by who starts it", BLOCKED, true],
  ] as const
) {
  Deno.test(`once signals ${when}, each ends or reloads a wrapper as it always does`, async () => {
    const target = newTarget();
    await using binder = await startBinder();
    for (const signal of SIGNALS) {
      await using wrapper = new Wrapper(site(tag(target), "here"), {
        sock: binder.sock,
        through: [...LIMITED, ...through],
      });
      const { program } = wrapper;
      await until(() => mayCome(program.pid, isBlocked));
      program.signal(signal);
      if (signal === "SIGTERM") {
        assertEquals(await program.exited, { code: 0, signal: null });
      } else {
        await wrapper.waitFor(({ upgrades, generations }) =>
          signal === "SIGUSR1"
            ? upgrades === 1
            : generations.some(({ number, state }) => number === 2 && state === "serving")
        );
      }
    }
  });

  Deno.test(`once signals ${when}, each ends or upgrades a binder as it always does`, async () => {
    for (const signal of SIGNALS) {
      using folder = tempDir();
      const sock = folder.file("sock");
      const bind = [...through, multibinder(), "bind", "--sock", sock];
      await using program = startProgram([...LIMITED, ...bind]);
      await until(() => mayCome(program.pid, isBlocked));
      program.signal(signal);
      if (signal === "SIGUSR1") {
        await waitForStatus(program, sock, ({ upgrades }) => upgrades === 1);
      } else if (signal !== "SIGTERM") {
        // What does nothing leaves no other trace.
        await program.waitFor(new RegExp(` ${signal} does nothing`));
      }
      assertEquals(await program.end("SIGTERM"), { code: 0, signal: null });
      assertEquals([...Deno.readDirSync(folder.path)], []);
    }
  });
}

Deno.test("a check ends at once when it is told to", async () => {
  using folder = tempDir();
  const config = folder.file("site.cfg.eta");
  Deno.writeTextFileSync(config, site(tag(newTarget()), "here"));
  // Nobody listens there: it waits.
  const options = { sock: folder.file("sock"), args: ["--wait", "1h"] };
  const command = ["haproxy", "-c", "-f", config];
  await using program = startProgram(wrapperCommand("exec", { ...options, command }));
  await until(() => hasAll(program.pid, "SigCgt"));
  assertStrictEquals((await program.end("SIGTERM")).signal, "SIGTERM");
});

Deno.test("limits that are too low are named in one line, by every command that runs for long", {
  ignore: ignoreUnless(Deno.uid() === 0, "to be another user, whom a limit binds, needs root"),
}, async () => {
  using folder = tempDir();
  // Every process of a user counts, those of other tests too.
  const [random = 0] = crypto.getRandomValues(new Uint16Array(1));
  const user = String(100_000 + random);
  const asNobodyElse = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"];
  const low: [through: readonly string[], what: RegExp][] = [
    [["prlimit", "--nofile=13:13"], /limit of open files is too low: .* needs 64; raise it with/],
    [["prlimit", "--nofile=20:20"], /limit of open files is too low: it is 20, .* needs 64/],
    [["prlimit", "--nofile=20:63"], /limit of open files is too low: it is 63, .* needs 64/],
    [
      [...asNobodyElse, "prlimit", "--nproc=3"],
      /limit of processes .*: it is 3, .* needs 16; raise/,
    ],
  ];
  for (const [through, what] of low) {
    for (const command of [["bind"], ["exec", "--", "haproxy", "-c"], [folder.file("sock")]]) {
      const [first = "", ...rest] = [...through, multibinder(), ...command];
      const { code, stderr } = await runProgram([first, ...rest]);
      assertStrictEquals(code, 1, stderr);
      assertMatch(stderr, /^multibinder: [^\n]*\n$/);
      assertMatch(stderr, what);
    }
  }
});
