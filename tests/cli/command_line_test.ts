/** The command line: what it answers, and what it says to wrong input. */

import { assert, assertEquals, assertMatch, assertNotMatch, assertStrictEquals } from "@std/assert";
import { multibinder } from "../support/binder.ts";
import { runProgram } from "../support/program.ts";
import { loopbackHost, tempDir } from "../support/temp_dir.ts";
import { ignoreUnless, UNPRIVILEGED } from "../support/users.ts";
import { COMMANDS } from "../../src/cli/commands.ts";

function run(...args: string[]) {
  return runProgram([multibinder(), ...args]);
}

/** Runs a command line that fails, and gives what it says, which is no stack trace. */
async function fails(code: number, ...args: string[]): Promise<string> {
  const { stdout, stderr, ...exit } = await run(...args);
  assertEquals(exit, { code, signal: null }, stderr);
  assertStrictEquals(stdout, "");
  assertNotMatch(stderr, /^ +at /m);
  return stderr;
}

Deno.test("--version and --help, of the program and of its commands", async () => {
  const { version } = JSON.parse(
    await Deno.readTextFile(new URL("../../deno.json", import.meta.url)),
  );
  for (const flag of ["--version", "-V", "version"]) {
    assertEquals(await run(flag), {
      code: 0,
      signal: null,
      stdout: `multibinder ${version}\n`,
      stderr: "",
    });
  }
  for (const flag of ["--help", "-h", "help"]) {
    const { code, stdout, stderr } = await run(flag);
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /^ {2}bind +hold [^]*^ {2}exec +run [^]*^ {2}render +print /m);
  }
  const bind = await run("help", "bind");
  assertEquals([bind.code, bind.stderr], [0, ""]);
  for (const word of ["--sock", "--mode", "--group", "--backlog", "--allow", "SIGUSR1"]) {
    assertMatch(bind.stdout, new RegExp(word));
  }
  for (const line of [...bind.stdout.split("\n")]) assert(line.length <= 100, line);
});

Deno.test("help NAME is all there is to know of a command, and the program's names every command", async () => {
  const commands = [...COMMANDS.keys()];
  const { stdout } = await run("--help");
  assertEquals(
    [...stdout.matchAll(/^ {2}([a-z]+) {2,}\w/gm)].map(([, name]) => name),
    commands,
  );
  for (const name of commands) {
    const [all, summary] = [await run("help", name), await run(name, "--help")];
    for (const { stdout } of [all, summary]) {
      assertMatch(stdout, new RegExp(`^Usage: multibinder ${name} `, "m"));
    }
    assertMatch(all.stdout, /^Exit codes:$/m);
    assertMatch(summary.stdout, new RegExp(`multibinder\\s+help\\s+${name}\\b`));
  }
});

Deno.test("with --log-format json, what ends the program is JSON too", async () => {
  for (const option of [["--log-format", "json"], ["--log-format=json"]]) {
    const { time, ...event } = JSON.parse(await fails(2, "bind", ...option, "80"));
    assert(!Number.isNaN(Date.parse(time)));
    assertStrictEquals(event.level, "error");
    assertMatch(event.message, /^malformed address "80"/);
  }
  const words = ["exec", "--sock", "/none", "--", "haproxy", "--log-format", "json"];
  assertMatch(await fails(2, ...words), /^multibinder: haproxy: no config/);
});

Deno.test("a wrong command line ends with 2 and a suggestion", async () => {
  assertMatch(await fails(2), /Usage: multibinder COMMAND/);
  assertMatch(await fails(2, "bnid"), /^multibinder: unknown command bnid; did you mean bind\?/);
  assertMatch(await fails(2, "frobnicate", "--help"), /unknown command frobnicate \(/);
  assertMatch(
    await fails(2, "help", "bnid"),
    /^multibinder: unknown command bnid; did you mean bind\?/,
  );
  assertMatch(await fails(2, "--versoin"), /did you mean --version\?/);
  assertMatch(await fails(2, "toString"), /unknown command toString \(/);
  assertMatch(
    await fails(2, "--sock", "x", ":80"),
    /unknown option --sock \(options follow a command, as in: multibinder bind --sock x :80\)/,
  );
  assertMatch(await fails(2, ":80", ":81"), /to listen there: multibinder bind :80 :81\)/);
  assertMatch(
    await fails(2, "old.sock", "new.sock"),
    /multibinder bind --sock old\.sock new\.sock\)/,
  );
  assertMatch(
    await fails(2, "127.0.0.1:80"),
    /to listen there: multibinder bind 127\.0\.0\.1:80\)/,
  );
  assertMatch(
    await fails(2, "./old.sock", "--mode", "0600"),
    /multibinder bind --sock \.\/old\.sock --mode 0600\)/,
  );
  assertMatch(
    await fails(2, "bind", "--sokc", "x"),
    /unknown option --sokc; did you mean --sock\?/,
  );
  assertMatch(await fails(2, "bind", "--sock"), /--sock lacks its PATH/);
  assertMatch(await fails(2, "bind", "--mode", "rw-"), /octal, such as 0660/);
  assertMatch(await fails(2, "bind", "--mode", "7777"), /octal, such as 0660/);
  assertMatch(await fails(2, "bind", "--backlog", "many"), /whole number/);
  assertMatch(await fails(2, "bind", "--log-level", "loud"), /debug, info, warn, error/);
  assertMatch(await fails(2, "bind", "--log-format", "xml"), /text, json/);
});

Deno.test("a malformed address or pattern is named, with the reason", async () => {
  using folder = tempDir();
  const sock = folder.file("control.sock");
  const cases: [string, RegExp][] = [
    ["80", /malformed address "80": .*did you mean ":80"\?/],
    ["localhost", /malformed address "localhost"/],
    [":http", /malformed address ":http"/],
    [":65536", /malformed address ":65536"/],
    ["1.2.3:80", /"1\.2\.3" is not an IPv4 address/],
    ["1.2.3.400:80", /not an IPv4 address/],
    ["[::g]:80", /neither an IP address nor a host name/],
    ["no such host:80", /neither an IP address nor a host name/],
    ["unix:relative.sock", /a UNIX socket has an absolute path/],
    [`unix:/${"x".repeat(107)}`, /at most 107 bytes/],
  ];
  for (const [address, message] of cases) {
    assertMatch(await fails(2, "bind", "--sock", sock, address), message);
  }
  const options: [string, string, RegExp][] = [
    ["--allow", "80-90", /malformed pattern/],
    ["--allow", ":90-80", /malformed pattern/],
    ["--allow", "no such host:80", /neither an IP address nor a host name/],
    ["--group", "no-such", /there is no group "no-such"/],
    ["--owner", "no-such", /there is no user "no-such"/],
    ["--user", "no-such", /there is no user "no-such"/],
    ["--allow-uid", "no-such", /there is no user "no-such"/],
    ["--allow-gid", "4294967295", /no group has the number 4294967295/],
  ];
  for (const [option, value, message] of options) {
    assertMatch(await fails(2, "bind", "--sock", sock, option, value), message);
  }
  assertMatch(await fails(2, "unbind", "--sock", sock, "80"), /malformed address "80"/);
  const nowhere = await fails(1, "bind", "--sock", sock, "nowhere.invalid:80");
  assertMatch(nowhere, /cannot look up the host "nowhere\.invalid"/);
  assertEquals([...Deno.readDirSync(folder.path)], []);
});

Deno.test("an address that cannot be bound is named, with the reason, and nothing is left", async () => {
  using folder = tempDir();
  const [sock, site] = [folder.file("control.sock"), folder.file("site.sock")];
  const hostname = loopbackHost();
  using listener = Deno.listen({ hostname, port: 0 });
  const { port } = listener.addr;
  const holder = `in use by deno\\S* \\(pid ${Deno.pid}\\) \\(EADDRINUSE\\)`;
  assertMatch(
    await fails(1, "bind", "--sock", sock, `unix:${site}`, `${hostname}:${port}`),
    new RegExp(`^multibinder: ${hostname}:${port}: the address is ${holder}; .* --take auto`, "m"),
  );
  assertMatch(
    await fails(1, "bind", "--sock", sock, "203.0.113.1:80"),
    /203\.0\.113\.1:80: this machine has no such address.*EADDRNOTAVAIL/,
  );
  assertMatch(
    await fails(1, "bind", "--sock", sock, `unix:${folder.path}/none/site.sock`),
    /none\/site\.sock: its folder does not exist \(ENOENT\)/,
  );
  Deno.writeTextFileSync(site, "precious");
  assertMatch(
    await fails(1, "bind", "--sock", sock, `unix:${site}`),
    /the file exists and is not a socket; it is left alone \(EADDRINUSE\)/,
  );
  assertMatch(
    await fails(1, "bind", "--sock", sock, `${hostname}:${port - 1}`, `:${port - 1}`),
    /it overlaps \S+, which is held already \(EADDRINUSE\)/,
  );
  assertStrictEquals(Deno.readTextFileSync(site), "precious");
  assertEquals([...Deno.readDirSync(folder.path)].map(({ name }) => name), ["site.sock"]);
});

Deno.test("a place where the control socket cannot be is named, with the reason", async () => {
  using folder = tempDir();
  const missing = `${folder.path}/none/control.sock`;
  assertMatch(await fails(1, "bind", "--sock", missing), /folder does not exist \(ENOENT\)/);
  const long = folder.file("x".repeat(108 - folder.path.length - 1));
  assertMatch(await fails(1, "bind", "--sock", long), /has 108 bytes, .* at most 107/);
  assertMatch(await fails(1, long), /has 108 bytes, .* at most 107/);
});

Deno.test("the stack of an error is shown at the log level debug alone", async () => {
  const shown = async (args: readonly string[], env = {}) =>
    (await runProgram([multibinder(), "bind", ...args, "80"], { env })).stderr;
  const [option, variable] = [["--log-level", "debug"], { MULTIBINDER_LOG_LEVEL: "debug" }];
  assertMatch(await shown(option), /malformed address[^]*\n +at /);
  assertMatch(await shown([], variable), /malformed address[^]*\n +at /);
  assertMatch(await shown([]), /^multibinder: malformed address .*\n$/);
});

const firstFreePort = Number(
  Deno.readTextFileSync("/proc/sys/net/ipv4/ip_unprivileged_port_start"),
);

Deno.test({
  name: "a privileged port says what it needs",
  ignore: ignoreUnless(firstFreePort > 80, "every user may bind any port on this machine"),
  fn: async () => {
    using folder = tempDir();
    Deno.mkdirSync(folder.file("open"));
    Deno.chmodSync(folder.file("open"), 0o777);
    const { code, stderr } = await runUnprivileged(folder.path, "open/control.sock", ":80");
    assertStrictEquals(code, 1, stderr);
    assertMatch(stderr, /0\.0\.0\.0:80: .*CAP_NET_BIND_SERVICE.*\(EACCES\)/);
  },
});

Deno.test("a folder without permission is named", async () => {
  using folder = tempDir();
  Deno.mkdirSync(folder.file("closed"), { mode: 0o555 });
  const { code, stderr } = await runUnprivileged(folder.path, "closed/control.sock");
  assertStrictEquals(code, 1, stderr);
  assertMatch(stderr, /closed\/control\.sock: no permission to create it there \(EACCES\)/);
});

/** The compiled program may lie where only its owner gets to. */
async function runUnprivileged(folder: string, sock: string, ...addresses: string[]) {
  const program = `${folder}/multibinder`;
  await Deno.copyFile(multibinder(), program);
  await Deno.chmod(program, 0o755);
  const words = [...UNPRIVILEGED, program, "bind", "--sock", `${folder}/${sock}`, ...addresses];
  const [file = "", ...args] = words;
  return await runProgram([file, ...args]);
}
