/** What the wrapper says to wrong input, and how it finds its binder. */

import {
  assertEquals,
  assertMatch,
  assertNotMatch,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { multibinder, startBinder } from "../support/binder.ts";
import {
  ignoreUnlessNoBinder,
  site,
  startWrapper,
  tag,
  wrapperCommand,
  type WrapperOptions,
} from "../support/haproxy.ts";
import { get, newTarget } from "../support/http_client.ts";
import { until } from "../support/process_status.ts";
import { runProgram, startProgram } from "../support/program.ts";
import { ask, serves, type WrapperStatus, wrapperStatus } from "../support/status.ts";
import { loopbackHost, type TempDir, tempDir } from "../support/temp_dir.ts";
import { ignoreUnless, UNPRIVILEGED } from "../support/users.ts";
import { waitForStatus } from "../support/wait_for_status.ts";

/** Runs a wrapper that fails, and gives what it says: the one line of a log, or usage. */
async function fails(code: number, options: WrapperOptions): Promise<string> {
  const { stdout, stderr, ...exit } = await runProgram(wrapperCommand("exec", options), options);
  assertEquals([exit, stdout], [{ code, signal: null }, ""], stderr);
  assertNotMatch(stderr, /^ +at /m, "no stack trace");
  return stderr.replaceAll('\\"', '"');
}

/** Writes a template that needs only the binder. */
function writeSite(folder: TempDir, bind = tag(newTarget())): string[] {
  Deno.writeTextFileSync(folder.file("site.cfg.eta"), site(bind, "ok"));
  return ["haproxy", "-f", folder.file("site.cfg.eta")];
}

Deno.test("a wrong command line ends with 2 and a suggestion", async () => {
  const sock = "/nowhere/control.sock";
  assertMatch(await fails(2, { sock }), /COMMAND is missing/);
  assertMatch(
    await fails(2, { sock, args: ["--drian", "5s"], command: ["haproxy"] }),
    /unknown option --drian; did you mean --drain\?/,
  );
  assertMatch(
    await fails(2, { sock, args: ["--drain", "soon"], command: ["haproxy"] }),
    /duration such as 500ms/,
  );
  assertMatch(
    await fails(2, { sock, args: ["--max-generations", "-1"], command: ["haproxy"] }),
    /whole number/,
  );
});

Deno.test("a command line that HAProxy would not take is named in one line", async () => {
  const sock = "/nowhere/control.sock";
  const cases: [number, string[], RegExp][] = [
    [2, ["haproxy"], /haproxy: no config; .*multibinder exec -- haproxy -f site\.cfg\.eta/],
    [
      2,
      ["servant", "-f", "a"],
      /no socket for the server: name one, as in `multibinder exec --listen http=:80 -- /,
    ],
    [2, ["haproxy", "-f"], /the option -f lacks its value/],
    [2, ["haproxy", "-f", "/x.eta", "-f", "/x.erb"], /x\.erb would both be rendered to \/x/],
  ];
  for (const [code, command, message] of cases) {
    const text = await fails(code, { sock, command });
    assertMatch(text, message);
    assertStrictEquals(text.trimEnd().split("\n").length, 1, text);
  }
});

Deno.test("a command that cannot be run ends with 127 or 126, as in a shell", async () => {
  using folder = tempDir();
  const [, ...config] = writeSite(folder);
  await using binder = await startBinder();
  const options = { sock: binder.sock };
  const missing = await fails(127, { ...options, command: ["haproxy-missing", ...config] });
  assertMatch(missing, /^\S+ error cannot start why="command not found: haproxy-missing"\n$/);
  Deno.writeTextFileSync(folder.file("haproxy"), "#!/bin/sh\n", { mode: 0o644 });
  const forbidden = await fails(126, { ...options, command: [folder.file("haproxy"), ...config] });
  assertMatch(forbidden, /^\S+ error cannot start why="cannot run \S+\/haproxy: .*EACCES.*"\n$/);
});

Deno.test("a config that cannot be served ends with 1 and one line about it", async () => {
  using folder = tempDir();
  using stranger = Deno.listen({ hostname: loopbackHost(), port: 0 });
  const { hostname, port } = stranger.addr;
  await using binder = await startBinder();
  const cases: [string, RegExp][] = [
    [tag(stranger.addr), new RegExp(`${port}: .*in use by \\S+ \\(pid ${Deno.pid}\\)`)],
    ["<%= bind_tcp('203.0.113.1', 80) %>", /203\.0\.113\.1:80: this machine has no such address/],
    ["<%= bind_tcp('1.2.3', 80) %>", /"1\.2\.3" is not an IPv4 address/],
    ["<%= bind_tcp('127.0.0.1', 70000) %>", /70000/],
    ["<%= bind('80') %>", /site\.cfg\.eta:8: malformed address "80": .*did you mean ":80"\?/],
    ["<%= bind_tpc('', 80) %>", /site\.cfg\.eta:8: bind_tpc is not defined, in <%= bind_tpc/],
    [
      "abns@inner accept-proxy",
      /site\.cfg:8: abns@inner is an abstract name, .*bind\('abns@inner'\)/,
    ],
    ["<% [80].each do |port| %>", /this is Ruby; multibinder templates are JavaScript/],
  ];
  for (const [bind, message] of cases) {
    const text = await fails(1, { sock: binder.sock, command: writeSite(folder, bind) });
    assertMatch(text, message);
    assertMatch(text, /^\S+ error cannot start why=.*\n$/);
  }

  const missing = ["haproxy", "-f", folder.file("missing.cfg.eta")];
  assertMatch(
    await fails(1, { sock: binder.sock, command: missing }),
    /^\S+ error cannot start why="cannot read the template \S+missing\.cfg\.eta: No such file.*\n$/,
  );
  const folderMissing = { args: ["--render-dir", folder.file("missing")] };
  assertMatch(
    await fails(1, { sock: binder.sock, ...folderMissing, command: writeSite(folder) }),
    /^\S+ error cannot start why="cannot write \S+\/missing\/site\.cfg: No such file.*\n$/,
  );
  const broken = writeSite(folder, `${tag({ hostname, port: 61081 })} no-such-option`);
  const refused = await fails(1, { sock: binder.sock, command: broken });
  assertMatch(
    refused,
    / error cannot start why="HAProxy refused the config: .*unknown keyword 'no-such-option'\.?"\n$/,
  );
});

Deno.test("templates in a folder of configs are told of, since they are passed over", async () => {
  using folder = tempDir();
  const target = newTarget();
  await using binder = await startBinder();
  Deno.mkdirSync(folder.file("conf.d"));
  Deno.writeTextFileSync(folder.file("conf.d/a.cfg"), "global\n");
  Deno.writeTextFileSync(folder.file("conf.d/b.cfg.eta"), "nonsense");
  Deno.writeTextFileSync(folder.file("site.cfg.eta"), site(tag(target), "ok"));
  await using wrapper = await startWrapper("", {
    sock: binder.sock,
    command: ["haproxy", "-f", folder.file("conf.d"), "-f", folder.file("site.cfg.eta")],
  });
  assertStrictEquals(await get(target), "ok");
  assertMatch(wrapper.program.stderr, / warn a template in a folder .*conf\.d\/b\.cfg\.eta/);
});

Deno.test({
  name: "without permissions, the file or the port is named with a remedy",
  ignore: ignoreUnless(UNPRIVILEGED.length > 0, "to have two users needs root"),
  async fn() {
    using folder = tempDir();
    await using binder = await startBinder([], { args: ["--allow-uid=*"] });
    const closed = await fails(1, {
      sock: binder.sock,
      through: UNPRIVILEGED,
      command: writeSite(folder),
    });
    assertMatch(closed, /no binder at \S+: no permission \(EACCES\); see .*--mode and --group/);
    Deno.chmodSync(binder.sock, 0o666);
    const unwritable = await fails(1, {
      sock: binder.sock,
      through: UNPRIVILEGED,
      command: writeSite(folder),
    });
    assertMatch(unwritable, /cannot write \S+\/site\.cfg: Permission denied .*--render-dir/);
  },
});

Deno.test("an address that the binder does not allow is named", async () => {
  using folder = tempDir();
  const [hostname, other] = [loopbackHost(), loopbackHost()];
  await using binder = await startBinder([`${hostname}:61080`]);
  const command = writeSite(folder, tag({ hostname: other, port: 61080 }));
  const text = await fails(1, { sock: binder.sock, command });
  assertMatch(text, new RegExp(`^\\S+ error cannot start why=.*${other}:61080.*allow.*\\n$`));
});

Deno.test("a limit of open files that is too low is named", async () => {
  using folder = tempDir();
  const hostname = loopbackHost();
  const tags = Array.from({ length: 100 }, (_, index) => tag({ hostname, port: 61_000 + index }));
  await using binder = await startBinder();
  const text = await fails(1, {
    sock: binder.sock,
    through: ["prlimit", "--nofile=64"],
    command: writeSite(folder, tags.join("\nbind ")),
  });
  assertMatch(text, /^\S+ error cannot start why=.*limit of 64 open files.*\n$/);
});

Deno.test("a binder that was named is waited for, then missed with its path", async () => {
  using folder = tempDir();
  const sock = folder.file("control.sock");
  const args = ["--wait", "200ms"];
  const text = await fails(1, { sock, args, command: writeSite(folder) });
  assertMatch(text, /^\S+ info waiting for the binder sock=\S+\/control\.sock\n/);
  assertMatch(text, / error cannot start why="no binder at \S+\/control\.sock: .*ENOENT.*"\n$/);

  const long = `/${"x".repeat(107)}`;
  assertMatch(
    await fails(1, { sock: long, args, command: writeSite(folder) }),
    /the path has 108 bytes, and a UNIX socket's has at most 107/,
  );
});

Deno.test("a binder that comes up in time is used", async () => {
  using folder = tempDir();
  const target = newTarget();
  const sock = folder.file("control.sock");
  const control = folder.file("own.sock");
  const command = writeSite(folder, tag(target));
  const words = wrapperCommand("exec", { sock, args: ["--control", control], command });
  await using wrapper = startProgram(words);
  await waitForStatus<WrapperStatus>(wrapper, control, ({ binder }) => binder?.connected === false);
  await using binder = await startBinder([], { sock });
  await binder.waitFor(({ sockets }) => sockets[0]?.holders[0] === wrapper.pid);
  assertStrictEquals(await get(target), "ok");
});

Deno.test({
  name: "without any binder the wrapper holds the sockets itself, and says so",
  ignore: ignoreUnlessNoBinder,
  async fn() {
    const target = newTarget();
    const environments: Record<string, string>[] = [{}, { MULTIBINDER_SOCK: "" }];
    for (const env of environments) {
      await using wrapper = await startWrapper(site(tag(target), "ok"), { env });
      assertMatch(
        wrapper.program.stderr,
        /^\S+ info no binder at \S+: this process binds the listening sockets itself\n/,
      );
      assertStrictEquals(await get(target), "ok");
      assertEquals(await wrapper.program.end("SIGTERM"), { code: 0, signal: null });
      await assertRejects(() => get(target), Deno.errors.ConnectionRefused);
    }
  },
});

Deno.test({
  name: "an upgrade changes nothing about where the sockets come from",
  ignore: ignoreUnless(Deno.uid() === 0, "to hide the binder at /run/multibinder.sock needs root"),
  async fn() {
    using folder = tempDir();
    const sock = "/run/multibinder.sock";
    const hide = "mount -t tmpfs none /run && echo ready && exec sleep infinity";
    await using hidden = startProgram(["unshare", "--mount", "sh", "-c", hide]);
    await hidden.waitFor(/^ready$/);
    const inside = (path: string) => `/proc/${hidden.pid}/root${path}`;
    const start = async (name: string) => {
      const control = folder.file(name);
      const path = folder.file(`${name}.cfg.eta`);
      Deno.writeTextFileSync(path, site(tag(newTarget()), "ok"));
      const words = [`--mount=/proc/${hidden.pid}/ns/mnt`, multibinder(), "exec"];
      const options = ["--control", control, "--", "haproxy", "-f", path];
      const program = startProgram(["nsenter", ...words, ...options]);
      await waitForStatus(program, control, serves);
      return { control, [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() };
    };

    await using alone = await start("alone");
    await using first = await startBinder([], { sock: inside(sock) });
    await using served = await start("served");
    await first.program.end("SIGKILL");
    assertStrictEquals((await ask("upgrade", served.control)).code, 0);
    const away = { sock, connected: false };
    assertEquals((await wrapperStatus(served.control)).binder, away);

    await using _next = await startBinder([], { sock: inside(sock) });
    await until(async () => (await wrapperStatus(served.control)).binder?.connected === true);
    assertStrictEquals((await ask("upgrade", alone.control)).code, 0);
    assertStrictEquals((await wrapperStatus(alone.control)).binder, null);
  },
});
