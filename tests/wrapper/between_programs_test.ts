/**
 * The two programs of an upgrade in place: what happens between them the second one notices and obeys, and what the
 * first one has done it does not do again.
 */

import { assert, assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { multibinder, startBinder } from "../support/binder.ts";
import { site, startWrapper, tag } from "../support/haproxy.ts";
import { Load } from "../support/http_client.ts";
import { hasEnded, until } from "../support/process_status.ts";
import { startProgram } from "../support/program.ts";
import { ProgramFile } from "../support/program_file.ts";
import type { Status } from "../support/status.ts";
import { loopbackHost, tempDir } from "../support/temp_dir.ts";

/** Makes a program's file one that waits before it becomes the successor, until the gap is closed. */
class Gap {
  readonly #fifo: string;

  constructor(file: ProgramFile, folder: { file(name: string): string }) {
    this.#fifo = folder.file("fifo");
    const make = new Deno.Command("mkfifo", { args: [this.#fifo] }).outputSync();
    assert(make.success);
    file.replaceByScript(
      `[ "$1" = self-check ] || { echo in the gap >&2; read line <"${this.#fifo}"; }\n` +
        `exec "${multibinder()}" "$@"`,
    );
  }

  /** Lets the successor go on. */
  close(): void {
    Deno.writeTextFileSync(this.#fifo, "go on\n");
  }
}

/** Says which signals it gets, and ends by SIGTERM. */
const BYSTANDER = `
import signal
signals = {signal.SIGUSR1, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
print("up", flush=True)
while (got := signal.sigwait(signals)) == signal.SIGUSR1: print("told", flush=True)
`;

Deno.test("whom -sf names is told once, and not again by a successor", async () => {
  const target = { hostname: loopbackHost(), port: 80 };
  await using binder = await startBinder();
  await using old = startProgram(["python3", "-c", BYSTANDER]);
  await old.waitFor(/^up$/);
  using folder = tempDir();
  Deno.writeTextFileSync(folder.file("site.cfg.eta"), site(tag(target), "ok"));
  await using wrapper = await startWrapper("", {
    sock: binder.sock,
    command: ["haproxy", "-f", folder.file("site.cfg.eta"), "-sf", String(old.pid)],
  });
  await old.waitFor(/^told$/);
  wrapper.program.signal("SIGUSR1");
  await wrapper.waitFor(({ upgrades }) => upgrades === 1);
  await wrapper.reload();
  await old.end("SIGTERM");
  assertStrictEquals(old.stdout, "up\ntold\n");
});

Deno.test("a HAProxy that dies between the two programs is noticed", async () => {
  const target = { hostname: loopbackHost(), port: 80 };
  using folder = tempDir();
  using file = new ProgramFile();
  await using binder = await startBinder();
  await using wrapper = await startWrapper(site(tag(target), "ok"), {
    sock: binder.sock,
    program: file.path,
  });
  const gap = new Gap(file, folder);
  const { pid } = await wrapper.serving();
  wrapper.program.signal("SIGUSR1");
  await wrapper.program.waitFor(/^in the gap$/);
  Deno.kill(pid, "SIGKILL");
  await until(() => hasEnded(pid));
  gap.close();
  assertStrictEquals((await wrapper.program.exited).code, 128 + 9);
  assertMatch(wrapper.program.stderr, / error the server ended by itself .*signal=9/);
});

Deno.test("signals that arrive between the two programs are obeyed by the second", async () => {
  const target = { hostname: loopbackHost(), port: 80 };
  using folder = tempDir();
  using file = new ProgramFile();
  await using binder = await startBinder([], { program: file.path });
  await using wrapper = await startWrapper(site(tag(target), "ok"), {
    sock: binder.sock,
    program: file.path,
  });
  await using load = new Load(target, { workers: 1 });
  const gap = new Gap(file, folder);
  const { generation } = await wrapper.serving();
  const upgraded = ({ upgrades }: Status) => upgrades >= 2;
  for (
    const [program, isDone] of [
      [binder.program, () => binder.waitFor(upgraded)],
      [wrapper.program, () => wrapper.waitFor(upgraded)],
    ] as const
  ) {
    program.signal("SIGUSR1");
    await program.waitFor(/^in the gap$/);
    for (let count = 0; count < 20; count++) {
      program.signal("SIGUSR1");
      program.signal("SIGHUP");
    }
    gap.close();
    await isDone();
  }
  await wrapper.waitFor(({ generations }) =>
    generations.some(({ number, state }) => state === "serving" && number > generation)
  );
  assertEquals((await load.stop()).failures, []);
  for (const { program } of [wrapper, binder]) {
    assertStrictEquals((await program.end("SIGTERM")).code, 0);
  }
});
