import { assert, assertEquals } from "@std/assert";
import { startLocalBinder } from "../../tests/support/local_binder.ts";
import { tempDir } from "../../tests/support/temp_dir.ts";
import { VERSION } from "../version.ts";
import { Running } from "./running.ts";

/** A binder with which nothing is wrong. */
const BINDER = {
  role: "binder",
  version: VERSION,
  pid: Deno.pid,
  sockets: [],
  missing: [],
  troubles: [],
  wrappers: [],
};

/** The checks that find something, and how bad it is, when who answers has that status. */
async function found(status: object): Promise<Record<string, string>> {
  using folder = tempDir();
  const sock = folder.file("sock");
  await using _binder = await startLocalBinder(sock, {
    answer: () => () => Promise.resolve({ result: status, fds: [] }),
  });
  const findings = (await Running.ask(sock)).examine();
  for (const { level, remedy } of findings) assert(level === "ok" || remedy !== undefined);
  return Object.fromEntries(
    findings.filter(({ level }) => level !== "ok").map(({ check, level }) => [check, level]),
  );
}

Deno.test("what in a status means trouble is found, and nothing else", async () => {
  const address = "127.0.0.1:80";
  const draining = (count: number) => ({
    generations: Array.from({ length: count }, (_, index) => {
      return { number: index + 1, pid: index + 1, state: "draining" };
    }),
  });
  const trouble = (kind: string) => ({ troubles: [{ address, kind, message: "it is wrong" }] });
  const wrapper = { ...BINDER, role: "wrapper", wrappers: undefined };
  const cases: [status: object, expected: Record<string, string>][] = [
    [{}, {}],
    [{ version: "0.0.1" }, { binary: "warning" }],
    [{ missing: [address] }, { missing: "failure" }],
    [trouble("unserved"), { listener_unserved: "failure" }],
    [trouble("queue"), { listener_queue: "warning" }],
    [trouble("drops"), { listener_drops: "warning" }],
    [{ sockets: [{ address, backlog: 9, queue: { limit: 9 } }] }, {}],
    [{ sockets: [{ address, backlog: 9, queue: { limit: 8 } }] }, { accept_queue: "warning" }],
    [{ wrappers: [draining(2)] }, {}],
    [{ wrappers: [draining(2), draining(3)] }, { old_generations: "warning" }],
    [{ wrappers: [{ lastReload: { ok: false, message: "bad" } }] }, { last_reload: "failure" }],
    [{ ...wrapper, ...draining(3) }, { old_generations: "warning" }],
    [{ ...wrapper, binder: { sock: "/run/b.sock", connected: true } }, {}],
    [{ ...wrapper, binder: { sock: "/run/b.sock", connected: false } }, { binder: "failure" }],
  ];
  for (const [status, expected] of cases) {
    assertEquals(await found({ ...BINDER, ...status }), expected, JSON.stringify(status));
  }
});
