/** `multibinder top`: a screen in a real terminal (tmux), and lines where there is none. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { multibinder, startBinder } from "../support/binder.ts";
import { bindOnce } from "../support/control_client.ts";
import { exists } from "../support/files.ts";
import { until } from "../support/process_status.ts";
import { runProgram, startProgram } from "../support/program.ts";
import { loopbackHost, tempDir } from "../support/temp_dir.ts";

const ENVIRONMENT = { LC_ALL: "C.UTF-8", TERM: "xterm-256color", SHELL: "/bin/sh" };

/** A terminal of that size, in which a command runs. */
class Terminal implements AsyncDisposable {
  readonly #folder = tempDir();
  readonly #tmux = ["tmux", "-f", "/dev/null", "-S", this.#folder.file("tmux")] as const;
  readonly #server = startProgram([...this.#tmux, "-D"], { env: ENVIRONMENT });

  static async start(columns: number, rows: number, words: readonly string[]): Promise<Terminal> {
    const terminal = new Terminal();
    await until(() => exists(terminal.#folder.file("tmux")) || terminal.#server.ended);
    const command = words.map((word) => `'${word}'`).join(" ");
    const size = ["-x", String(columns), "-y", String(rows)];
    // The shell stays, so that what the command leaves on the screen can be seen.
    await terminal.tmux("new-session", "-d", ...size, `${command}; echo done-; exec sh`);
    return terminal;
  }

  async tmux(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await runProgram([...this.#tmux, ...args], {
      env: ENVIRONMENT,
    });
    assertEquals(code, 0, stderr);
    return stdout;
  }

  /** The screen's lines, without what no terminal shows. */
  async screen(...options: string[]): Promise<string[]> {
    return (await this.tmux("capture-pane", "-p", ...options)).split("\n");
  }

  async shows(pattern: RegExp): Promise<string[]> {
    await until(async () => (await this.screen()).some((line) => pattern.test(line)));
    return await this.screen();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

Deno.test("top fills the terminal, trouble first, follows its size, and leaves it as it was", async () => {
  using folder = tempDir();
  const hostname = loopbackHost();
  const sock = folder.file("sock");
  const ports = Array.from({ length: 30 }, (_, index) => 7000 + index);
  await using binder = await startBinder(ports.map((port) => `${hostname}:${port}`), { sock });
  const words = [multibinder(), "top", "--sock", binder.sock, "--interval", "100ms"];
  await using terminal = await Terminal.start(100, 12, words);
  const first = await terminal.shows(/30 sockets/);
  assertMatch(first[0] ?? "", new RegExp(`^30 sockets, .* ${binder.sock}$`));
  assert(first.some((line) => /^ADDRESS +STATE +QUEUE/.test(line)), first.join("\n"));
  // A client waits at the last address, which comes to the top, in red.
  using client = await Deno.connect({ hostname, port: 7029 });
  await until(async () => {
    const lines = await terminal.screen();
    return lines[lines.findIndex((line) => line.startsWith("ADDRESS")) + 1]?.includes(":7029 ") ??
      false;
  });
  if (Deno.uid() === 0) {
    const coloured = (await terminal.screen("-e")).join("\n");
    assert(coloured.includes("\x1b[31munserved"), "it is red");
    assert(coloured.startsWith("30 sockets, \x1b[31m1 in trouble\x1b[39m, 30 unserved"), coloured);
  }
  const lines = await terminal.screen();
  assertEquals(lines.length, 13, "twelve rows, and what follows the last newline");
  assertMatch(lines[11] ?? "", new RegExp(`^${hostname}:70`), "the screen is full");
  client[Symbol.dispose]();
  await terminal.tmux("resize-window", "-x", "40", "-y", "20");
  await until(async () => {
    const rows = (await terminal.screen()).filter((line) => line.startsWith(hostname));
    return rows.length >= 16 && rows.every((line) => line.length <= 40);
  });
  const narrow = await terminal.screen();
  assertMatch(narrow[0] ?? "", /^30 sockets, /, "no line takes two rows");
  assertMatch(narrow[2] ?? "", /^ADDRESS/);
  {
    // A new size is drawn at once, and not at the next look.
    const rarely = [multibinder(), "top", "--sock", binder.sock, "--interval", "1h"];
    await using other = await Terminal.start(100, 12, rarely);
    await other.shows(/^ADDRESS/);
    await other.tmux("resize-window", "-x", "40", "-y", "20");
    await until(async () => {
      const lines = await other.screen();
      return lines.filter((line) => line.startsWith(hostname)).length >= 16;
    });
  }
  // A binder that goes away is told of, and top goes on.
  await binder[Symbol.asyncDispose]();
  await terminal.shows(/no binder at/);
  await using _next = await startBinder([`${hostname}:7000`], { sock });
  await terminal.shows(/1 socket,/);
  await terminal.tmux("send-keys", "q");
  const left = await terminal.shows(/^done-/);
  assertEquals(left.filter((line) => line.startsWith("ADDRESS")), [], "the screen is as it was");
  // Keys are shown again.
  await terminal.tmux("send-keys", "echo back", "Enter");
  await terminal.shows(/^back$/);
});

Deno.test("a terminal that does not know its size has the usual one", async () => {
  const address = `${loopbackHost()}:80`;
  await using binder = await startBinder([address]);
  const top = `${multibinder()} top --sock ${binder.sock}`;
  const argv = ["script", "-qec", `stty rows 0 cols 0; exec ${top}`, "/dev/null"] as const;
  await using terminal = startProgram(argv, { env: ENVIRONMENT });
  await terminal.waitFor(/ADDRESS +STATE/);
  await terminal.waitFor(new RegExp(`${address} `));
});

Deno.test("where there is no terminal, what has changed is a line", async () => {
  const address = loopbackHost();
  const args = ["--allow", `${address}:81`];
  await using binder = await startBinder([`${address}:80`], { args });
  await bindOnce(binder.sock, { address, port: 81 });
  for (const command of [["top"], ["ls", "--watch"]]) {
    const words = ["--sock", binder.sock, "--interval", "20ms"];
    await using top = startProgram([multibinder(), ...command as [string], ...words]);
    await top.waitFor(/^TIME +ADDRESS +STATE/);
    await top.waitFor(new RegExp(`^\\S+Z +${address}:80 `));
    const port = command.length;
    await bindOnce(binder.sock, { address, port: 80 });
    const client = await Deno.connect({ hostname: address, port: 80 });
    await top.waitFor(new RegExp(`^\\S+Z +${address}:80 +\\S+ +${port} `));
    assertEquals((await top.end("SIGTERM")).code, 0);
    assert(!top.stdout.includes("\x1b"), "this is no terminal");
    const still = top.stdout.split("\n").filter((line) => line.includes(`${address}:81 `));
    assertEquals(still.length, 1, "what has not changed is not told again");
    client.close();
  }
  {
    await using top = startProgram([multibinder(), "top", "--sock", binder.sock]);
    await top.waitFor(/^TIME +ADDRESS +STATE/);
    const gone = await runProgram([
      multibinder(),
      "unbind",
      "--sock",
      binder.sock,
      `${address}:81`,
    ]);
    assertEquals(gone.code, 0, gone.stderr);
    await top.waitFor(/^\S+Z +\S+:81 is not held any more$/);
  }
  await using json = startProgram([
    multibinder(),
    ...["top", "--json", "--sock", binder.sock, "--interval", "20ms"],
  ]);
  const [line] = await json.waitFor(/^\[.*\]$/);
  assertEquals(JSON.parse(line)[0].address, `${address}:80`);
});
