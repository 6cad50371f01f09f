/** A standard error that is full, in which the server's own last words are stuck: it is stopped in time. */

import { assertEquals } from "@std/assert";
import { site, tag, wrapperCommand } from "../support/haproxy.ts";
import { newTarget } from "../support/http_client.ts";
import { startBinder } from "../support/binder.ts";
import { until } from "../support/process_status.ts";
import { startProgram } from "../support/program.ts";
import { tempDir } from "../support/temp_dir.ts";
import { waitForStatus } from "../support/wait_for_status.ts";
import { serves } from "../support/status.ts";

/** Starts a program with a pipe as standard error; fills it when told to; sends signals; tells how it ended. */
const SCRIPT = `
import os, signal, subprocess, sys
reader, writer = os.pipe()
child = subprocess.Popen(sys.argv[1:], stderr=writer)
for line in sys.stdin:
    if line == "fill\\n":
        own = os.open(f"/proc/self/fd/{writer}", os.O_WRONLY | os.O_NONBLOCK)
        for size in (4096, 1):
            try:
                while True: os.write(own, b"x" * size)
            except BlockingIOError: pass
        print("full", flush=True)
    else:
        child.send_signal(signal.Signals[line.strip()])
print("ended with", child.wait(), flush=True)
`;

/** Whether one of a process's threads waits for room in a pipe (proc_pid_wchan(5)). */
function isStuck(pid: number): boolean {
  const folder = `/proc/${pid}/task`;
  return [...Deno.readDirSync(folder)].some(({ name }) =>
    Deno.readTextFileSync(`${folder}/${name}/wchan`).includes("pipe_write")
  );
}

/** Stops a wrapper whose server is stuck in a write. @returns the exit code */
async function stop(drain: string, signals: readonly Deno.Signal[]): Promise<string | undefined> {
  using folder = tempDir();
  await using binder = await startBinder();
  const path = folder.file("site.cfg.eta");
  Deno.writeTextFileSync(path, site(tag(newTarget()), "ok"));
  const control = folder.file("control.sock");
  const command = wrapperCommand("exec", {
    sock: binder.sock,
    args: ["--control", control, "--drain", drain],
    command: ["haproxy", "-f", path],
  });
  await using program = startProgram(["python3", "-c", SCRIPT, ...command], { stdin: "piped" });
  const { generations: [server] } = await waitForStatus(program, control, serves);
  await program.write("fill\n");
  await program.waitFor(/full/);
  for (const signal of signals) {
    await program.write(`${signal}\n`);
    // Both at once the server would obey before it says anything.
    await until(() => isStuck(server?.pid ?? 0));
  }
  await program.closeInput();
  const [, code] = await program.waitFor(/ended with (\d+)/);
  return code;
}

Deno.test("a server that is stuck in a write is stopped by the drain cap, and by a second signal", async () => {
  // At the same time: each takes the five seconds that a server has before it is killed.
  const codes = await Promise.all([stop("1s", ["SIGTERM"]), stop("1h", ["SIGTERM", "SIGINT"])]);
  assertEquals(codes, ["137", "137"], "by SIGKILL, since nothing else reaches it");
});
