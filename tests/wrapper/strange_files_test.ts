/** A pipe, a device or an endless file where a reload reads: it is refused, and the generation before serves on. */

import { assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { startBinder } from "../support/binder.ts";
import { textOf } from "../support/files.ts";
import { site, startWrapper, tag } from "../support/haproxy.ts";
import { get, newTarget } from "../support/http_client.ts";
import { until } from "../support/process_status.ts";
import { runProgram } from "../support/program.ts";
import { ask, wrapperStatus } from "../support/status.ts";
import { tempDir } from "../support/temp_dir.ts";

/** Puts at a path what would make a reader wait, or never end. */
const STRANGE: [what: string, make: (path: string) => [string, ...string[]], why: string][] = [
  ["a pipe", (path) => ["mkfifo", path], "it is a pipe, and not a file"],
  ["a device", (path) => ["ln", "-s", "/dev/zero", path], "it is a device, and not a file"],
  ["a sparse file", (path) => ["truncate", "-s", "1T", path], "it is longer than \\d+ bytes"],
];

for (const [what, make, why] of STRANGE) {
  Deno.test(`${what} where a reload reads is refused, and changes nothing`, async () => {
    using folder = tempDir();
    const target = newTarget();
    const variables = folder.file("variables");
    Deno.writeTextFileSync(variables, "A=1\n");
    await using binder = await startBinder();
    await using wrapper = await startWrapper(site(tag(target), "first"), {
      sock: binder.sock,
      args: ["--env-file", variables, "--watch", folder.path],
    });
    for (
      const [path, name] of [[variables, "environment file"], [wrapper.path, "template"]] as const
    ) {
      const before = Deno.readTextFileSync(path);
      Deno.removeSync(path);
      assertStrictEquals((await runProgram(make(path))).code, 0);
      const { code, stderr } = await ask("reload", wrapper.control);
      assertStrictEquals(code, 1);
      assertMatch(stderr, new RegExp(`cannot read the ${name} \\S+: ${why}`));
      assertStrictEquals(await get(target), "first");
      Deno.removeSync(path);
      Deno.writeTextFileSync(path, before);
    }
    assertStrictEquals((await ask("reload", wrapper.control)).code, 0);
    assertStrictEquals(await get(target), "first");
  });
}

Deno.test("what a template has started and not waited for ends no wrapper when it fails", async () => {
  const target = newTarget();
  await using binder = await startBinder();
  const good = site(tag(target), "first");
  await using wrapper = await startWrapper(good, { sock: binder.sock });
  const codes = [
    "Promise.reject(new Error('a mistake'))",
    "Deno.readTextFile('/nowhere/at/all')",
    "setTimeout(() => { throw new Error('a mistake') }, 0)",
  ];
  for (const [index, code] of codes.entries()) {
    wrapper.template = `${good}<% ${code} %>\n`;
    await ask("reload", wrapper.control);
    await wrapper.program.waitFor(/templates do not wait/, index + 1);
    assertStrictEquals(await get(target), "first");
  }
  wrapper.template = good;
  assertStrictEquals((await ask("reload", wrapper.control)).code, 0);
});

Deno.test("a NUL in what a template throws, and in a variable, ends no wrapper", async () => {
  using folder = tempDir();
  const target = newTarget();
  const [variables, told] = [folder.file("variables"), folder.file("told")];
  Deno.writeTextFileSync(variables, "A=1\n");
  await using binder = await startBinder();
  const good = site(tag(target), "first");
  await using wrapper = await startWrapper(good, {
    sock: binder.sock,
    args: ["--env-file", variables, "--after-reload", `printf %s "$RELOAD_MESSAGE" >>${told}`],
  });
  const reload = () => ask("reload", wrapper.control);
  wrapper.template = "<% throw new Error('a\\0b') %>";
  assertStrictEquals((await reload()).code, 1);
  await until(() => /a\uFFFDb/.test(textOf(told)));
  wrapper.template = good;
  Deno.writeTextFileSync(variables, "A=1\nB=x\0y\n");
  assertMatch((await reload()).stderr, /variables:2: B's value has a NUL character/);
  Deno.writeTextFileSync(variables, "A=1\n");
  assertStrictEquals((await reload()).code, 0);
  assertStrictEquals(await get(target), "first");
  const { generations } = await wrapperStatus(wrapper.control);
  assertEquals(generations.at(-1)?.pid, (await wrapper.serving()).pid);
});
