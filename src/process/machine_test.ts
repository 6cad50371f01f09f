import { assertEquals, assertMatch } from "@std/assert";
import { examineMachine, type Read, type Subject } from "./machine.ts";

const SUBJECT: Subject = { process: "self", name: "it", sockets: 10, backlog: 1000 };

/** A machine on which nothing is wrong, but for what is different. */
function machine(different: Record<string, string | undefined> = {}): Read {
  const files: Record<string, string | undefined> = {
    "/proc/sys/net/core/somaxconn": "4096\n",
    "/proc/sys/net/ipv4/tcp_abort_on_overflow": "0\n",
    "/proc/self/limits":
      "Max open files            1024                 524288               files\n",
    "/proc/sys/kernel/yama/ptrace_scope": "0\n",
    "/proc/self/status": "CapEff:\t0000000000000000\n",
    ...different,
  };
  return (path) => files[path];
}

function levels(read: Read, subject: Partial<Subject> = {}): Record<string, string> {
  const findings = examineMachine({ ...SUBJECT, ...subject }, read);
  for (const { level, remedy } of findings) {
    assertEquals(remedy !== undefined, level !== "ok", "what is not fine has a remedy");
  }
  return Object.fromEntries(
    findings.filter(({ level }) => level !== "ok").map(({ check, level }) => [check, level]),
  );
}

Deno.test("on a machine where nothing is wrong, nothing is found", () => {
  assertEquals(levels(machine()), {});
});

Deno.test("each setting that causes trouble is found, and no other", () => {
  const root = { "/proc/self/status": "CapEff:\t000001ffffffffff\n" };
  const limits = (hard: string) => ({
    "/proc/self/limits": `Max open files  64  ${hard}  files\n`,
  });
  const scope = (value: number) => ({ "/proc/sys/kernel/yama/ptrace_scope": `${value}\n` });
  const cases: [Record<string, string | undefined>, Record<string, string>][] = [
    [{ "/proc/sys/net/core/somaxconn": "999\n" }, { somaxconn: "warning" }],
    [{ "/proc/sys/net/core/somaxconn": "1000\n" }, {}],
    [{ "/proc/sys/net/ipv4/tcp_abort_on_overflow": "1\n" }, { tcp_abort_on_overflow: "failure" }],
    [limits("73"), { descriptors: "failure" }],
    [limits("100"), { descriptors: "warning" }],
    [limits("148"), {}],
    [limits("unlimited"), {}],
    [scope(1), { ptrace_scope: "warning" }],
    [{ ...scope(2), ...root }, {}],
    [{ ...scope(3), ...root }, { ptrace_scope: "warning" }],
    // A kernel without Yama.
    [{ "/proc/sys/kernel/yama/ptrace_scope": undefined }, {}],
    [{ "/proc/sys/net/core/somaxconn": undefined }, { somaxconn: "unknown" }],
    [{ "/proc/self/limits": undefined }, { descriptors: "unknown" }],
    [{ "/proc/self/status": undefined }, { ptrace_scope: "unknown" }],
  ];
  for (const [different, expected] of cases) {
    assertEquals(levels(machine(different)), expected, JSON.stringify(different));
  }
});

Deno.test("the numbers that matter are in the message", () => {
  const read = machine({ "/proc/sys/net/core/somaxconn": "128\n" });
  const [queue] = examineMachine({ ...SUBJECT, backlog: 10_240 }, read);
  assertMatch(queue?.message ?? "", /somaxconn is 128, and a backlog of 10240/);
  assertMatch(queue?.remedy ?? "", /somaxconn=10240/);
});

Deno.test("the settings of another network are not taken for a process's own", () => {
  // No process has that pid.
  const findings = examineMachine({ ...SUBJECT, process: 2 ** 22 + 1 }, machine());
  const unknown = findings.filter(({ level }) => level === "unknown").map(({ check }) => check);
  assertEquals(unknown.slice(0, 2), ["somaxconn", "tcp_abort_on_overflow"]);
});
