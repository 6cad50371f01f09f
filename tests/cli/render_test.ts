/** `multibinder render`: what a template becomes, without a server. */

import { assert, assertEquals, assertMatch, assertNotMatch, assertStrictEquals } from "@std/assert";
import { multibinder, startBinder } from "../support/binder.ts";
import { ignoreUnlessNoBinder, tag, wrapperCommand } from "../support/haproxy.ts";
import { newTarget } from "../support/http_client.ts";
import { tcpListeners } from "../support/process.ts";
import { runProgram } from "../support/program.ts";
import { freePort, loopbackHost, type TempDir, tempDir } from "../support/temp_dir.ts";

/** Renders a template that is written first. Without a binder's path, no binder is there. */
async function render(
  folder: TempDir,
  template: string,
  options: { sock?: string; args?: string[]; env?: Record<string, string> } = {},
) {
  const path = folder.file("site.cfg.eta");
  Deno.writeTextFileSync(path, template);
  const { args = [], ...rest } = options;
  const words = wrapperCommand("render", { ...rest, args: [...args, path] });
  return await runProgram(words, options);
}

Deno.test("the rendered config is printed; with --strict the binder holds its sockets", async () => {
  using folder = tempDir();
  const targets = [61080, 61081].map((port) => ({ hostname: loopbackHost(), port }));
  await using binder = await startBinder();
  const { sock } = binder;
  const template = `${targets.map(tag).join(" ")} <%# a comment %>\n<%= ENV['NAME'] %>\n`;
  const held = () => tcpListeners(binder.program.pid);
  for (const [args, sockets] of [[[], 0], [["--strict"], 2]] as const) {
    const rendered = await render(folder, template, {
      sock,
      env: { NAME: "grüße" },
      args: [...args],
    });
    assertEquals(rendered, { code: 0, signal: null, stdout: "fd@3 fd@4 \ngrüße\n", stderr: "" });
    assertStrictEquals(held().length, sockets);
  }
  const left = [...Deno.readDirSync(folder.path)].map(({ name }) => name);
  assertEquals(left, ["site.cfg.eta"], "no file is written");
});

Deno.test("bytes that are no UTF-8 come out as they are in the template", async () => {
  using folder = tempDir();
  await using binder = await startBinder();
  const template = folder.file("site.cfg.erb");
  const text = Uint8Array.of(0x23, 0xfc, 0x0d, 0x0a);
  Deno.writeFileSync(template, text);
  const written = folder.file("written");
  for (const [output, file] of [["-", "printed"], [written, "written"]] as const) {
    const words = [multibinder(), "render", template, "--sock", binder.sock, "--output", output];
    const shell = await runProgram(["sh", "-c", `"$0" "$@" >${folder.file("printed")}`, ...words]);
    assertEquals([shell.code, shell.stderr], [0, ""]);
    assertEquals(Deno.readFileSync(folder.file(file)), text);
  }
});

Deno.test("--output writes it to a file", async () => {
  using folder = tempDir();
  await using binder = await startBinder();
  const { sock } = binder;
  const path = folder.file("elsewhere.cfg");
  const target = newTarget();
  const rendered = await render(folder, `bind ${tag(target)}\n`, {
    sock,
    args: ["--output", path],
  });
  assertEquals([rendered.code, rendered.stdout, rendered.stderr], [0, "", ""]);
  assertStrictEquals(Deno.readTextFileSync(path), "bind fd@3\n");
  const failed = await render(folder, "x", { sock, args: ["--output", folder.file("none/x")] });
  assertStrictEquals(failed.code, 1);
  assertMatch(failed.stderr, /^multibinder: cannot write \S+\/none\/x: No such file.*\n$/);
  assertNotMatch(failed.stderr, /--render-dir/, "which render does not have");
});

Deno.test("--output can be standard output, a device or a pipe, and none is replaced", async () => {
  using folder = tempDir();
  await using binder = await startBinder();
  const to = (output: string) =>
    render(folder, "text", { sock: binder.sock, args: ["--output", output] });
  for (const output of ["-", "/dev/stdout"]) {
    assertEquals(await to(output), { code: 0, signal: null, stdout: "text", stderr: "" });
  }
  // Before /dev/null, so that a program which replaces what it should not fails here.
  assertStrictEquals((await to("/dev/stderr")).stderr, "text");
  assertEquals(await to("/dev/null"), { code: 0, signal: null, stdout: "", stderr: "" });
  assert(Deno.statSync("/dev/null").isCharDevice);
  const pipe = folder.file("pipe");
  assertStrictEquals((await runProgram(["mkfifo", pipe])).code, 0);
  const [, text] = await Promise.all([to(pipe), Deno.readTextFile(pipe)]);
  assertStrictEquals(text, "text");
  assert(Deno.statSync(pipe).isFifo);
  const appended = folder.file("appended");
  const words = [multibinder(), "render", folder.file("site.cfg.eta"), "--output", "/dev/stdout"];
  const shell = `echo before >>${appended}; "$0" "$@" >>${appended}`;
  assertStrictEquals((await runProgram(["sh", "-c", shell, ...words])).code, 0);
  assertStrictEquals(Deno.readTextFileSync(appended), "before\ntext");
  const left = [...Deno.readDirSync(folder.path)].map(({ name }) => name).sort();
  assertEquals(left, ["appended", "pipe", "site.cfg.eta"]);
  // A file of /dev is one as any other.
  const shared = `/dev/shm/multibinder-test-${crypto.randomUUID()}`;
  try {
    assertStrictEquals((await to(shared)).code, 0);
    assertStrictEquals(Deno.readTextFileSync(shared), "text");
  } finally {
    Deno.removeSync(shared);
  }
});

Deno.test("--output is not the template", async () => {
  using folder = tempDir();
  await using binder = await startBinder();
  const output = `${folder.path}/./site.cfg.eta`;
  const { code, stderr } = await render(folder, "text", {
    sock: binder.sock,
    args: ["--output", output],
  });
  assertEquals([code, stderr], [
    1,
    `multibinder: cannot write ${output}: it is a template, and would be lost\n`,
  ]);
  assertStrictEquals(Deno.readTextFileSync(folder.file("site.cfg.eta")), "text");
});

Deno.test("the program may not use Deno's network and subprocesses", async () => {
  using folder = tempDir();
  await using binder = await startBinder();
  const { sock } = binder;
  for (
    const [code, needs] of [
      ["Deno.listen({ port: 0 })", "net"],
      ["new Deno.Command('true').outputSync()", "run"],
      ["if (Deno.permissions.querySync({ name: 'import' }).state === 'granted') nope()", undefined],
    ] as const
  ) {
    const rendered = await render(folder, `<% ${code} %>`, { sock });
    if (needs === undefined) assertEquals([rendered.code, rendered.stderr], [0, ""]);
    else assertMatch(rendered.stderr, new RegExp(`:1: Requires ${needs} access`));
  }
});

Deno.test({
  name: "without a binder nothing is bound; with --strict the sockets are, for a moment",
  ignore: ignoreUnlessNoBinder,
  async fn() {
    using folder = tempDir();
    const target = { hostname: loopbackHost(), port: freePort() };
    const args = ["--strict"];
    const free = await render(folder, tag(target), { args });
    assertEquals([free.code, free.stdout], [0, "fd@3"]);
    assertMatch(free.stderr, /^\S+ info no binder at \S+: .*\n$/);
    using stranger = Deno.listen(target);
    assertEquals(await render(folder, tag(target)), {
      code: 0,
      signal: null,
      stdout: "fd@3",
      stderr: "",
    });
    const taken = await render(folder, tag(target), { args });
    assertEquals([taken.code, taken.stdout], [1, ""]);
    const { hostname, port } = stranger.addr;
    assertMatch(
      taken.stderr,
      new RegExp(`\nmultibinder: ${hostname}:${port}: .* in use by \\S+ \\(pid ${Deno.pid}\\)`),
    );
  },
});

Deno.test("an error names file, line, text and cause, and Ruby is told from a mistake", async () => {
  using folder = tempDir();
  await using binder = await startBinder();
  const { sock } = binder;
  const cases: [string, RegExp][] = [
    [
      "\n\nbind <%= bind_tpc('', 80) %>",
      /:3: bind_tpc is not defined, in <%= bind_tpc\('', 80\) %>/,
    ],
    ["\nbind <%= bind_tcp('', 80 %>", /:2: missing \) .*, in <%= bind_tcp\('', 80 %>/],
    ["\nbind <%= bind_tcp('300.0.0.1', 80) %>", /:2: .*"300\.0\.0\.1" is not an IPv4 address, in /],
    ["\nbind <%= bind_tcp('', 'http') %>", /:2: bind_tcp: port must be a number, not 'http', in /],
    ["<%= ENV.fetch('MISSING_NAME') %>", /:1: ENV has no 'MISSING_NAME', in /],
    [
      "\n<% [80, 81].each do |port| %>\n<% end %>",
      /:2: this is Ruby; .*<% for \(const x of list\)/,
    ],
    ["<%= \"#{ENV['X']}\" %>", /:1: this is Ruby; .*`\$\{ENV\['X'\]\}`/],
    ["<%= bind_tcp('', 80", /:1: no %> closes this tag, in <%= bind_tcp\('', 80/],
  ];
  for (const [template, message] of cases) {
    const { code, stdout, stderr } = await render(folder, template, { sock });
    assertEquals([code, stdout], [1, ""], stderr);
    assertMatch(stderr, /^multibinder: \S+site\.cfg\.eta:\d+: .*\n$/, "one line");
    assertMatch(stderr, message);
  }
});

Deno.test("a wrong command line ends with 2, a file that is missing with 1", async () => {
  const run = (...args: string[]) => runProgram(wrapperCommand("render", { sock: "/none", args }));
  const unknown = await run("--ouput", "x", "y");
  assertStrictEquals(unknown.code, 2);
  assertMatch(unknown.stderr, /unknown option --ouput; did you mean --output\?/);
  assertStrictEquals((await run()).code, 2);
  const missing = await run("/none/site.cfg.eta");
  assertStrictEquals(missing.code, 1);
  assertMatch(
    missing.stderr,
    /^multibinder: cannot read the template \/none\/site.cfg.eta: .*\n$/,
  );
});
