/** `exec -- haproxy -c`: a check is a check, and needs no address that is free. */

import "../support/libc.ts";
import { assertEquals, assertMatch, assertNotStrictEquals } from "@std/assert";
import { startBinder } from "../support/binder.ts";
import {
  ignoreUnlessNoBinder,
  site,
  startWrapper,
  tag,
  wrapperCommand,
} from "../support/haproxy.ts";
import { addressOf, get, newTarget } from "../support/http_client.ts";
import { listeningSockets } from "../support/process.ts";
import { childrenOf, commandOf, hasEnded, until } from "../support/process_status.ts";
import { type Exit, runProgram, startProgram } from "../support/program.ts";
import { loopbackHost, type TempDir, tempDir } from "../support/temp_dir.ts";
import { ignoreUnless, UNPRIVILEGED } from "../support/users.ts";

interface Check {
  /** The binder's control socket; nobody's when absent. */
  sock?: string;
  args?: readonly string[];
  through?: readonly string[];
  program?: string;
}

/** Checks a template. */
async function check(
  folder: TempDir,
  template: string,
  { program = "haproxy", ...options }: Check = {},
): Promise<Exit & { stdout: string; stderr: string }> {
  const path = folder.file("site.cfg.eta");
  Deno.writeTextFileSync(path, template);
  // HAProxy 3.0 and newer say nothing of a good config without -V.
  const command = [program, "-c", "-V", "-f", path];
  return await runProgram(wrapperCommand("exec", { ...options, command }));
}

/** A program in HAProxy's place, which prints which sockets it was given. */
function listingHaproxy(folder: TempDir): string {
  const path = folder.file("haproxy");
  Deno.writeTextFileSync(path, "#!/bin/sh\nreadlink /proc/$$/fd/3 /proc/$$/fd/4\n");
  Deno.chmodSync(path, 0o755);
  return path;
}

Deno.test({
  name: "without a binder, a check passes beside what serves, and for ports that need root",
  ignore: ignoreUnlessNoBinder ||
    ignoreUnless(Deno.uid() === 0, "to be without the rights of root needs root"),
  async fn() {
    using folder = tempDir();
    using rendered = tempDir();
    Deno.chownSync(rendered.path, 65534, 65534);
    const target = newTarget();
    await using _wrapper = await startWrapper(site(tag(target), "ok"));
    const template = site([
      tag(target),
      "<%= bind('0.0.0.0:80') %>",
      "<%= bind('[::]:81') %>",
      "<%= bind('nowhere.invalid:82') %>",
      "<%= bind('unix:/nowhere/site.sock') %>",
    ], "ok");
    const args = ["--render-dir", rendered.path];
    for (const through of [[], UNPRIVILEGED]) {
      const { code, stdout, stderr } = await check(folder, template, { args, through });
      assertEquals([code, stderr], [0, ""]);
      assertMatch(stdout, /Configuration file is valid/);
      Deno.removeSync(`${rendered.path}/site.cfg`);
    }
    assertEquals(await get(target), "ok");
    const taken = site(tag(target), "ok");
    const { code, stderr } = await check(folder, taken, { args: ["--strict", ...args] });
    assertEquals(code, 1);
    assertMatch(stderr, /61080: the address is in use/);
  },
});

Deno.test("with a binder, a check gets what is held, and binds nothing else", async () => {
  using folder = tempDir();
  const [held, other] = [newTarget(), newTarget()];
  await using binder = await startBinder([addressOf(held)]);
  const sockets = () => listeningSockets(binder.program.pid).map(({ inode }) => inode);
  const before = sockets();
  const program = listingHaproxy(folder);
  const template = site([tag(held), tag(other)], "ok");
  const { code, stdout } = await check(folder, template, { sock: binder.sock, program });
  assertEquals(code, 0);
  const [first = "", second = ""] = stdout.trim().split("\n");
  assertEquals(before.filter((inode) => first === `socket:[${inode}]`).length, 1, stdout);
  assertMatch(second, /^socket:/);
  assertNotStrictEquals(second, first);
  assertEquals(sockets(), before);
  // The binder has been started for the first address alone.
  const strict = await check(folder, template, { sock: binder.sock, args: ["--strict"] });
  assertEquals(strict.code, 1);
  assertMatch(strict.stderr, /not allowed by this binder/);
});

Deno.test("a check writes the config, and says what HAProxy says of it", async () => {
  using folder = tempDir();
  const target = newTarget();
  await using binder = await startBinder();
  const { sock } = binder;
  const good = await check(folder, site(tag(target), "ok"), { sock });
  assertEquals([good.code, good.stderr], [0, ""]);
  assertMatch(good.stdout, /Configuration file is valid/);
  assertMatch(Deno.readTextFileSync(folder.file("site.cfg")), /^bind fd@3$/m);
  const unknown = site(tag(target), "ok", { frontend: ["no-such-keyword"] });
  const bad = await check(folder, unknown, { sock });
  assertEquals(bad.code, 1);
  assertMatch(bad.stderr, /unknown keyword 'no-such-keyword'/);
});

Deno.test("a binder that was named and is not there is told of, and checked without", async () => {
  using folder = tempDir();
  const sock = folder.file("gone.sock");
  const template = site(`<%= bind('${loopbackHost()}:80') %>`, "ok");
  const { code, stderr } = await check(folder, template, { sock });
  assertEquals(code, 0);
  assertMatch(stderr, / warn checking without the binder's sockets why="no binder at .*gone\.sock/);
});

Deno.test("an address that is malformed is refused by a check, too", async () => {
  using folder = tempDir();
  for (const address of ["300.0.0.1:80", "a b:80", "unix:relative"]) {
    const { code, stderr } = await check(folder, site(`<%= bind('${address}') %>`, "ok"));
    assertEquals(code, 1);
    assertMatch(stderr, /malformed address/);
  }
});

Deno.test("what a start refuses although HAProxy calls it valid is refused by a check, too", async () => {
  using folder = tempDir();
  const template = site([`<%= bind('${loopbackHost()}:80') %>`, "abns@inner accept-proxy"], "ok");
  const { code, stderr } = await check(folder, template);
  assertEquals(code, 1);
  assertMatch(stderr, /site\.cfg:\d+: abns@inner is an abstract name, .*bind\('abns@inner'\)/);
  const withoutReuse = site([tag(newTarget()), "127.0.0.1:61083"], "ok") +
    "\nglobal\n  noreuseport\n";
  assertMatch(
    (await check(folder, withoutReuse)).stderr,
    /127\.0\.0\.1:61083 is a port without SO_REUSEPORT/,
  );
});

for (const words of [["-c"], []]) {
  Deno.test(`a check under way ends with the wrapper: exec -- haproxy ${words}`, async () => {
    using folder = tempDir();
    await using binder = await startBinder();
    const program = folder.file("haproxy");
    Deno.writeTextFileSync(program, "#!/bin/sh\nexec sleep 1000\n");
    Deno.chmodSync(program, 0o755);
    const path = folder.file("site.cfg.eta");
    Deno.writeTextFileSync(path, site(tag(newTarget()), "ok"));
    const command = [program, ...words, "-f", path];
    await using wrapper = startProgram(
      wrapperCommand("exec", { sock: binder.sock, args: ["--strict"], command }),
    );
    const checks = () => childrenOf(wrapper.pid).filter((pid) => commandOf(pid) === "sleep");
    await until(() => checks().length === 1);
    const [pid = 0] = checks();
    await wrapper.end("SIGTERM");
    await until(() => hasEnded(pid));
  });
}
