/** HAProxy command lines and config files as people have them. */

import {
  assert,
  assertEquals,
  assertMatch,
  assertNotMatch,
  assertNotStrictEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { type Binder, multibinder, startBinder } from "../support/binder.ts";
import { site, startWrapper, tag, Wrapper, wrapperCommand } from "../support/haproxy.ts";
import { addressOf, get, newTarget } from "../support/http_client.ts";
import { processStatus } from "../support/process_status.ts";
import { runProgram, startProgram } from "../support/program.ts";
import { servers } from "../support/status.ts";
import { freePort, loopbackHost, tempDir } from "../support/temp_dir.ts";
import { ignoreUnless } from "../support/users.ts";

Deno.test("-D, -Ds, -W and -db do no harm, and -p has the current pid", async () => {
  const target = newTarget();
  await using binder = await startBinder();
  for (const flags of [["-D"], ["-Ds"], ["-W", "-db"]]) {
    const command = ["haproxy", ...flags, "-f", "site.cfg.eta", "-p", "site.pid"];
    await using wrapper = await startWrapper(site(tag(target), "ok"), {
      sock: binder.sock,
      command,
    });
    const pidFile = () => Deno.readTextFileSync(wrapper.folder.file("site.pid"));
    assertStrictEquals(pidFile(), `${(await wrapper.serving()).pid}\n`);
    const before = (await wrapper.serving()).pid;
    await wrapper.reload();
    assertNotStrictEquals((await wrapper.serving()).pid, before);
    assertStrictEquals(pidFile(), `${(await wrapper.serving()).pid}\n`);
    assertStrictEquals(await get(target), "ok");
    assertStrictEquals((await wrapper.program.end("SIGTERM")).code, 0);
    assertThrows(pidFile, Deno.errors.NotFound);
  }
});

Deno.test("a pid file that cannot be written is refused before anything is started", async () => {
  using folder = tempDir();
  Deno.mkdirSync(folder.file("folder"));
  assertStrictEquals((await runProgram(["mkfifo", folder.file("pipe")])).code, 0);
  const path = folder.file("site.cfg.eta");
  Deno.writeTextFileSync(path, site(tag(newTarget()), "ok"));
  await using binder = await startBinder();
  for (
    const pidFile of ["", folder.file("none/x.pid"), folder.file("folder"), folder.file("pipe")]
  ) {
    const command = ["haproxy", "-f", path, "-p", pidFile];
    const { code, stderr } = await runProgram(
      wrapperCommand("exec", { sock: binder.sock, command }),
    );
    assertStrictEquals(code, 1, pidFile);
    assertMatch(stderr, /^multibinder: cannot write the pid file \S+: .+\n$/);
    assert(stderr.includes(` ${pidFile || '""'}: `), stderr);
  }
  const left = [...Deno.readDirSync(folder.path)].map(({ name }) => name).sort();
  assertEquals(left, ["folder", "pipe", "site.cfg.eta"]);
});

Deno.test({
  name: "-p with a device leaves it as it is",
  ignore: ignoreUnless(Deno.uid() === 0, "to make a device needs root"),
  async fn() {
    using folder = tempDir();
    const path = folder.file("null");
    await new Deno.Command("mknod", { args: [path, "c", "1", "3"] }).output();
    await using binder = await startBinder();
    await using wrapper = await startWrapper(site(tag(newTarget()), "ok"), {
      sock: binder.sock,
      command: ["haproxy", "-f", "site.cfg.eta", "-p", path],
    });
    assert(Deno.statSync(path).isCharDevice);
    assertStrictEquals((await wrapper.program.end("SIGTERM")).code, 0);
    assert(Deno.statSync(path).isCharDevice);
    assertNotMatch(wrapper.program.stderr, /cannot write/);
  },
});

Deno.test("a pid file that another wrapper has written is left alone", async () => {
  using folder = tempDir();
  const pidFile = folder.file("site.pid");
  await using binder = await startBinder();
  const start = (template: string) =>
    new Wrapper(template, {
      sock: binder.sock,
      command: ["haproxy", "-f", "site.cfg.eta", "-p", pidFile],
    });
  await using first = start(site(tag(newTarget()), "ok"));
  await first.serving();
  await using failing = start("nonsense");
  assertStrictEquals((await failing.program.exited).code, 1);
  assertStrictEquals(Deno.readTextFileSync(pidFile), `${(await first.serving()).pid}\n`);

  await using second = start(site(tag(newTarget()), "ok"));
  await second.serving();
  assertStrictEquals((await first.program.end("SIGTERM")).code, 0);
  assertStrictEquals(Deno.readTextFileSync(pidFile), `${(await second.serving()).pid}\n`);
  second.program.signal("SIGUSR1");
  await second.waitFor(({ upgrades }) => upgrades === 1);
  assertStrictEquals((await second.program.end("SIGTERM")).code, 0);
  assertThrows(() => Deno.lstatSync(pidFile), Deno.errors.NotFound);
});

/** As the original's walk-through has it, but for the port and the backend. */
const walkThrough = ({ hostname, port }: { hostname: string; port: number }, user: string) =>
  `global
  daemon
  maxconn 256
${user}
defaults
  mode http
  timeout connect 5000ms
  timeout client 50000ms
  timeout server 50000ms
  <%# The socket comes from multibinder. -%>

frontend http-in
  bind <%= bind_tcp('${hostname}', ${port}) %>
  http-request return status 200 content-type text/plain string V1
`;

for (const ending of ["erb", "mb", "eta"]) {
  Deno.test({
    name: `the original's walk-through runs from a .${ending}, with its daemon and user`,
    ignore: ignoreUnless(Deno.uid() === 0, "to become the user haproxy needs root"),
    async fn() {
      const target = newTarget();
      using folder = tempDir();
      const path = folder.file(`site.v1.cfg.${ending}`);
      Deno.writeTextFileSync(path, walkThrough(target, "  user haproxy\n  group haproxy"));
      await using binder = await startBinder();
      // The original had no option: the path came by this variable.
      await using program = startProgram(
        [multibinder(), "exec", "--", "haproxy", "-Ds", "-f", path],
        { env: { MULTIBINDER_SOCK: binder.sock } },
      );
      const pid = await served(binder);
      assertStrictEquals(await get(target), "V1");
      assertNotStrictEquals(processStatus(pid, "Uid")?.split("\t")[0], "0");
      const rendered = Deno.readTextFileSync(folder.file("site.v1.cfg"));
      assertMatch(rendered, /^ {2}daemon$[^]*^ {2}bind fd@3$/m);
      assertNotMatch(rendered, /<%/);
      assertStrictEquals((await program.end("SIGTERM")).code, 0);
    },
  });
}

/** Waits until the wrapper of a binder serves. @returns the pid of its server */
async function served(binder: Binder): Promise<number> {
  const [pid = 0] = servers(await binder.waitFor((status) => servers(status).length > 0));
  return pid;
}

Deno.test("templates and plain files mix, and share one numbering", async () => {
  const [first, second] = [loopbackHost(), loopbackHost()];
  const plain = { hostname: loopbackHost(), port: freePort() };
  await using binder = await startBinder();
  const wrapperOptions = {
    sock: binder.sock,
    command: [
      ..."haproxy -f defaults.cfg -f site.cfg.eta -f more.cfg.erb -- last.cfg.mb".split(" "),
    ],
  };
  using folder = tempDir();
  const frontend = (name: string, bind: string) =>
    `frontend ${name}\nbind ${bind}\nhttp-request return status 200 content-type text/plain string ${name}\n`;
  const files = {
    "defaults.cfg":
      "defaults\nmode http\ntimeout client 5s\ntimeout connect 5s\ntimeout server 5s\n",
    "site.cfg.eta": frontend("one", tag({ hostname: first, port: 61080 })),
    "more.cfg.erb": frontend("two", tag({ hostname: second, port: 61080 })),
    "last.cfg.mb": frontend("three", addressOf(plain)),
  };
  for (const [name, text] of Object.entries(files)) Deno.writeTextFileSync(folder.file(name), text);
  await using _program = startProgram(wrapperCommand("exec", wrapperOptions), { cwd: folder.path });
  await served(binder);
  assertStrictEquals(await get({ hostname: first, port: 61080 }), "one");
  assertStrictEquals(await get({ hostname: second, port: 61080 }), "two");
  assertStrictEquals(await get(plain), "three");
  assertMatch(Deno.readTextFileSync(folder.file("more.cfg")), /^bind fd@4$/m);
});

Deno.test("a rendered file keeps mode and owner; a new one has its template's", async () => {
  const target = newTarget();
  using folder = tempDir();
  const [template, rendered] = [folder.file("site.cfg.eta"), folder.file("site.cfg")];
  Deno.writeTextFileSync(template, site(tag(target), "ok"), { mode: 0o640 });
  await using binder = await startBinder();
  const check = () =>
    runProgram(wrapperCommand("exec", {
      sock: binder.sock,
      command: ["haproxy", "-c", "-f", template],
    }));
  const mode = () => (Deno.statSync(rendered).mode ?? 0) & 0o777;
  assertStrictEquals((await check()).code, 0);
  assertStrictEquals(mode(), 0o640);
  Deno.chmodSync(rendered, 0o604);
  const owner = Deno.uid() === 0 ? 65534 : Deno.uid();
  Deno.chownSync(rendered, owner, null);
  assertStrictEquals((await check()).code, 0);
  assertEquals([mode(), Deno.statSync(rendered).uid], [0o604, owner]);
  const names = [...Deno.readDirSync(folder.path)].map(({ name }) => name).toSorted();
  assertEquals(names, ["site.cfg", "site.cfg.eta"], "no file is left beside them");
});

Deno.test("--render-dir puts rendered files elsewhere", async () => {
  const target = newTarget();
  using elsewhere = tempDir();
  await using binder = await startBinder();
  await using wrapper = await startWrapper(site(tag(target), "ok"), {
    sock: binder.sock,
    args: ["--render-dir", elsewhere.path],
  });
  assertStrictEquals(await get(target), "ok");
  assertMatch(Deno.readTextFileSync(elsewhere.file("site.cfg")), /^bind fd@3$/m);
  assertThrows(() => Deno.statSync(wrapper.folder.file("site.cfg")), Deno.errors.NotFound);
});
