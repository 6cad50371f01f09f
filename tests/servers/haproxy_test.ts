/** HAProxy on sockets that the command line names, beside those of a template. */

import { assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { startBinder } from "../support/binder.ts";
import { debianProgram } from "../support/debian_program.ts";
import { site, startWrapper, tag, wrapperCommand } from "../support/haproxy.ts";
import { get, newTarget } from "../support/http_client.ts";
import { runProgram } from "../support/program.ts";
import { tempDir } from "../support/temp_dir.ts";

const NAMED = '"fd@${FD_HTTP}"';

Deno.test("sockets of templates come after those that are named, at each reload", async () => {
  await using binder = await startBinder();
  const target = newTarget();
  const { hostname } = target;
  const other = { hostname, port: 61081 };
  const third = { hostname, port: 61082 };
  await using wrapper = await startWrapper(site([tag(other), NAMED], "one"), {
    sock: binder.sock,
    args: ["--listen", `http=${hostname}:${target.port}`],
  });
  for (const place of [target, other]) assertStrictEquals(await get(place), "one");
  wrapper.template = site([tag(third), NAMED, tag(other)], "two");
  assertStrictEquals((await wrapper.reload()).ok, true);
  await wrapper.drained();
  for (const place of [target, other, third]) assertStrictEquals(await get(place), "two");
});

// 3.0 and 3.2: the other tests have Debian's 2.6, and a nightly run has the loads of loss_test.ts with all.
for (const release of ["trixie", "sid"]) {
  const { program, ignore } = await debianProgram(release, "haproxy");
  Deno.test({
    name: `${release}: a named socket is served, and by the next generation`,
    ignore,
    async fn() {
      await using binder = await startBinder();
      const target = newTarget();
      using folder = tempDir();
      const path = folder.file("site.cfg");
      Deno.writeTextFileSync(path, site(NAMED, "one"));
      const args = ["--listen", `http=${target.hostname}:${target.port}`];
      const command = [program, "-W", "-f", path];
      await using wrapper = await startWrapper("", { sock: binder.sock, args, command });
      assertStrictEquals(await get(target), "one");
      Deno.writeTextFileSync(path, site(NAMED, "two"));
      assertStrictEquals((await wrapper.reload()).message, "generation 2 serves");
      assertStrictEquals(await get(target), "two");
    },
  });
}

Deno.test("a named socket that no line uses is said, and a check has them as well", async () => {
  await using binder = await startBinder();
  const { hostname } = newTarget();
  // The variable of the second one, FD_HTT, is the beginning of the one that a line has.
  const args = ["--listen", `http=${hostname}:61080`, "--listen", `htt=${hostname}:61081`];
  await using wrapper = await startWrapper(site(NAMED, "one"), { sock: binder.sock, args });
  await wrapper.program.waitFor(/ warn no line of the config uses a socket: .* name=htt /);

  using folder = tempDir();
  const path = folder.file("site.cfg");
  const checked: [bind: string, code: number][] = [[NAMED, 0], ['"fd@${FD_NO}"', 1]];
  for (const [bind, code] of checked) {
    Deno.writeTextFileSync(path, site(bind, "one"));
    const command = ["haproxy", "-c", "-V", "-f", path];
    const end = await runProgram(wrapperCommand("exec", { sock: binder.sock, args, command }));
    assertEquals(end.code, code, end.stderr);
    if (code === 0) assertMatch(end.stdout, /Configuration file is valid/);
  }
});
