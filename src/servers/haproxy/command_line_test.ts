import { assertEquals, assertThrows } from "@std/assert";
import { UserError } from "../../errors.ts";
import { type CommandLine, parseCommandLine, toArgv } from "./command_line.ts";

const START_OPTIONS = ["-db", "-sf", "77"];
const TEMPLATE = /\.(eta|erb|mb)$/;

function parse(line: string): CommandLine {
  const [program = "", ...rest] = line.split(" ");
  return parseCommandLine([program, ...rest]);
}

/** The command that checks or starts, with every template rendered beside itself. */
function argv(line: string, options: readonly string[]): string {
  const command = parse(line);
  const templates = command.configs.filter(({ path }) => TEMPLATE.test(path));
  const targets = new Map(templates.map(({ path }) => [path, path.replace(TEMPLATE, "")]));
  return toArgv(command, targets, options).join(" ");
}

Deno.test("the original wrapper's command line", () => {
  const line = "haproxy -Ds -f x.cfg.erb -p /run/x.pid -sf 1 2";
  assertEquals(parse(line), {
    words: ["haproxy", "-f", "x.cfg.erb"],
    optionsEnd: 3,
    configs: [{ path: "x.cfg.erb", index: 2 }],
    folder: "",
    pidFile: "/run/x.pid",
    replaces: { stop: "soft", pids: [1, 2] },
    purpose: "run",
  });
  assertEquals(argv(line, START_OPTIONS), "haproxy -f x.cfg -db -sf 77");
  assertEquals(argv(line, ["-c"]), "haproxy -f x.cfg -c");
});

Deno.test("what makes a daemon or a master is left out, and what asks the one before for sockets", () => {
  const line = "haproxy -W -D -db -Ws -S /run/master.sock -Ds -x /run/stats -q -f a.cfg";
  assertEquals(argv(line, START_OPTIONS), "haproxy -q -f a.cfg -db -sf 77");
});

Deno.test("options keep their values and their order", () => {
  const line = "haproxy -V -n 100 -N 10 -m 64 -L here -dM -f a.cfg";
  assertEquals(argv(line, []), line);
  assertEquals(parse(line).configs.length, 1);
});

Deno.test("several configs, templates and others, after -f and after --", () => {
  const line = "haproxy -f a.cfg -f b.cfg.eta -q -f /c.cfg.mb -- d.cfg e.cfg.erb -x";
  const command = parse(line);
  assertEquals(command.configs.map(({ path }) => path), [
    "a.cfg",
    "b.cfg.eta",
    "/c.cfg.mb",
    "d.cfg",
    "e.cfg.erb",
    "-x",
  ]);
  assertEquals(
    argv(line, ["-c"]),
    "haproxy -f a.cfg -f b.cfg -q -f /c.cfg -c -- d.cfg e.cfg -x",
  );
});

Deno.test("rendered files can be elsewhere", () => {
  const command = parse("haproxy -f a.cfg.eta -- b.cfg.eta c.cfg");
  const targets = new Map([["a.cfg.eta", "/run/a.cfg"], ["b.cfg.eta", "/run/b.cfg"]]);
  assertEquals(
    toArgv(command, targets, ["-db"]),
    ["haproxy", "-f", "/run/a.cfg", "-db", "--", "/run/b.cfg", "c.cfg"],
  );
});

Deno.test("-C: files are found from its folder, wherever it stands, as HAProxy has it", () => {
  for (
    const line of [
      "haproxy -C /etc/haproxy -f a.cfg.eta -p a.pid -f /b.cfg",
      "haproxy -f a.cfg.eta -f /b.cfg -p a.pid -C /elsewhere -C /etc/haproxy",
    ]
  ) {
    const { configs, pidFile } = parse(line);
    assertEquals(configs.map(({ path }) => path), ["/etc/haproxy/a.cfg.eta", "/b.cfg"]);
    assertEquals(pidFile, "/etc/haproxy/a.pid");
  }
  const relative = "haproxy -C conf -f a.cfg.eta -f b.cfg";
  assertEquals(parse(relative).configs.map(({ path }) => path), [
    "conf/a.cfg.eta",
    "conf/b.cfg",
  ]);
  // HAProxy opens names once it is in that folder.
  assertEquals(argv(relative, []), `haproxy -C conf -f ${Deno.cwd()}/conf/a.cfg -f b.cfg`);
});

Deno.test("-sf and -st: the pids that follow, and how they are told", () => {
  const { replaces, configs } = parse("haproxy -st 30 31 -f a.cfg");
  assertEquals(replaces, { stop: "hard", pids: [30, 31] });
  assertEquals(configs.length, 1);
  assertEquals(parse("haproxy -f a.cfg -sf").replaces.pids, []);
});

Deno.test("words that are no pids are left to HAProxy to refuse", () => {
  const line = "haproxy -f a.cfg -sf 0 99999999999";
  assertEquals(parse(line).replaces.pids, []);
  assertEquals(argv(line, ["-c"]), "haproxy -f a.cfg 0 99999999999 -c");
});

Deno.test("what a command is for", () => {
  const purposes: [string, CommandLine["purpose"]][] = [
    ["haproxy -f a.cfg", "run"],
    ["haproxy -c -f a.cfg", "check"],
    ["haproxy -f a.cfg -c -V", "check"],
    ["haproxy -v", "question"],
    ["haproxy -vv", "question"],
    ["haproxy -cc version_atleast(2.6)", "question"],
    ["haproxy -h", "question"],
  ];
  for (const [line, purpose] of purposes) {
    assertEquals(parse(line).purpose, purpose, line);
    assertEquals(argv(line, []), line);
  }
});

Deno.test("a value is a value, even when it looks like an option", () => {
  const { configs, purpose, pidFile } = parse("haproxy -f -c -p -v -L --");
  assertEquals(configs.map(({ path }) => path), ["-c"]);
  assertEquals(purpose, "run");
  assertEquals(pidFile, "-v");
  assertEquals(argv("haproxy -L -- -f -sf", ["-db"]), "haproxy -L -- -f -sf -db");
});

Deno.test("an option without its value is refused", () => {
  for (const option of ["-f", "-p", "-n", "-N", "-m", "-C", "-L", "-x", "-S", "-cc"]) {
    assertThrows(
      () => parse(`haproxy -f a.cfg ${option}`),
      UserError,
      `option ${option} lacks`,
    );
  }
});

Deno.test("a command without a config is refused, with an example", () => {
  for (
    const line of ["haproxy", "haproxy -c", "haproxy site.cfg", "haproxy --"]
  ) {
    assertThrows(
      () => parse(line),
      UserError,
      "no config; name one, as in `multibinder exec -- haproxy -f site.cfg.eta`",
    );
  }
});
