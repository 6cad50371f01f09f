import { assertEquals, assertMatch, assertRejects, assertStrictEquals } from "@std/assert";
import "../../tests/support/libc.ts";
import { leavesNoDescriptors } from "../../tests/support/descriptors.ts";
import { tempDir } from "../../tests/support/temp_dir.ts";
import { UserError } from "../errors.ts";
import { createLog } from "../log.ts";
import { Children } from "../process/children.ts";
import { type HookCommands, Hooks } from "./hooks.ts";

function withHooks(
  commands: HookCommands,
  timeout: number,
  test: (hooks: Hooks, log: string[]) => Promise<void>,
): Promise<void> {
  return leavesNoDescriptors(async () => {
    const lines: string[] = [];
    const log = createLog({ format: "text", level: "info" }, (line) => lines.push(line.trim()));
    using children = new Children();
    // A child that ends is a signal, for which alone Deno does not wait.
    using stack = new DisposableStack();
    stack.adopt(setInterval(() => {}, 1000), clearInterval);
    await test(new Hooks(commands, timeout, children, log), lines);
  });
}

const END = { ok: false, message: "it is 'so'", generation: 3, pid: 4711 };
const LONG = 20_000;

Deno.test("a hook before a reload may take its time and say something, or refuse it", async () => {
  await withHooks({ before: "echo one; echo two >&2" }, LONG, async (hooks, log) => {
    await hooks.before();
    assertEquals(log.map((line) => line.replace(/^\S+ /, "")), [
      "info --before-reload: one",
      "info --before-reload: two",
    ]);
  });
  const refusals: [command: string, timeout: number, message: RegExp][] = [
    ["echo no disk left; exit 3", LONG, /^--before-reload refused .*: exit code 3, no disk left$/],
    ["kill -9 $$", LONG, /: exit code 137$/],
    ["sleep 1000 & wait", 50, /: it did not end within 50ms \(--ready-timeout\)$/],
  ];
  for (const [before, timeout, message] of refusals) {
    await withHooks({ before }, timeout, async (hooks) => {
      const error = await assertRejects(() => hooks.before(), UserError);
      assertMatch(error.message, message);
    });
  }
});

Deno.test("a hook after a reload is told how it went, after those before it have ended", async () => {
  using folder = tempDir();
  const path = folder.file("told");
  const names = ["OUTCOME", "MESSAGE", "GENERATION", "PID"].map((name) => `"$RELOAD_${name}"`);
  const after = `sleep 0.$((5 - RELOAD_GENERATION)); printf '%s|' ${names.join(" ")} >>${path}`;
  await withHooks({ after }, LONG, async (hooks) => {
    Deno.writeTextFileSync(path, "");
    assertStrictEquals(hooks.underWay, undefined);
    hooks.after(END);
    hooks.after({ ...END, ok: true, generation: 4 });
    await hooks.underWay;
    assertStrictEquals(hooks.underWay, undefined);
    const text = Deno.readTextFileSync(path);
    assertStrictEquals(text, "failure|it is 'so'|3|4711|success|it is 'so'|4|4711|");
  });
});

Deno.test("a hook after a reload that fails is said, and without hooks nothing is run", async () => {
  await withHooks({ after: "exit 1" }, LONG, async (hooks, log) => {
    await hooks.before();
    hooks.after(END);
    await hooks.underWay;
    await null;
    assertMatch(log.join("\n"), / error --after-reload failed why="exit code 1"/);
  });
  await withHooks({}, LONG, async (hooks, log) => {
    await hooks.before();
    hooks.after(END);
    assertStrictEquals(hooks.underWay, undefined);
    assertEquals(log, []);
  });
});
