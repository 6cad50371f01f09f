/** Options that units, entrypoints and scripts of people carry, from HAProxy 1.5 on. */

import { assert, assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { site, startWrapper, tag, wrapperCommand } from "../support/haproxy.ts";
import { startBinder } from "../support/binder.ts";
import { get, newTarget } from "../support/http_client.ts";
import { runProgram } from "../support/program.ts";
import { loopbackHost, tempDir } from "../support/temp_dir.ts";

/** Options that are passed on to HAProxy, with a value where they take one. */
const HARMLESS = [
  "-V",
  "-n 1000",
  "-N 100",
  "-L some-peer",
  "-m 1000",
  "-dM",
  "-dS",
  "-dG",
  "-dR",
  "-dr",
  "-dV",
  "-dp",
];

/** Options that are left out: HAProxy would fork away, be a master, or fetch the sockets of a process before. */
const LEFT_OUT = [
  "-D",
  "-Ds",
  "-W",
  "-Ws",
  "-db",
  "-S /nowhere/master.sock",
  "-x /nowhere/stats.sock",
];

/** Values of options that take one. */
const VALUES: Record<string, string> = {
  "-n": "100",
  "-N": "10",
  "-m": "1000",
  "-L": "peer",
  "-C": "/",
  "-p": "/dev/null",
  "-cc": "streq(a,a)",
};

/** Every option in the usage text of the HAProxy that is installed, as words. */
async function usage(): Promise<string[][]> {
  const { stdout, stderr } = await runProgram(["haproxy", "-h"]);
  const lines = `${stdout}${stderr}`.matchAll(/^\s+(-[a-zA-Z]+)(?:\W|$)/gm);
  return [...lines].map(([, option = ""]) => {
    const value = VALUES[option];
    return value === undefined ? [option] : [option, value];
  });
}

Deno.test("a server runs and reloads with all of them at once", async () => {
  await using binder = await startBinder();
  const target = newTarget();
  const options = [...HARMLESS, ...LEFT_OUT].flatMap((option) => option.split(" "));
  using folder = tempDir();
  const path = folder.file("site.cfg.eta");
  Deno.writeTextFileSync(path, site(tag(target), "one"));
  await using wrapper = await startWrapper("", {
    sock: binder.sock,
    command: ["haproxy", ...options, "-f", path, "-sf", "-st"],
  });
  assertEquals(await get(target), "one");
  Deno.writeTextFileSync(path, site(tag(target), "two"));
  assertStrictEquals((await wrapper.reload()).ok, true);
  assertEquals(await get(target), "two");
});

Deno.test("each option of this HAProxy's usage text checks a config as it does by itself", async () => {
  using folder = tempDir();
  const [plain, template] = [folder.file("plain.cfg"), folder.file("site.cfg.eta")];
  const host = loopbackHost();
  Deno.writeTextFileSync(plain, site(`${host}:80`, "ok"));
  Deno.writeTextFileSync(template, site(`<%= bind('${host}:80') %>`, "ok"));
  const options = await usage();
  assert(options.length > 20, options.flat().join(" "));
  const leftOut = new Set(LEFT_OUT.map((option) => option.split(" ")[0]));
  for (const words of options.filter(([option]) => !leftOut.has(option))) {
    const own = await runProgram(["haproxy", "-c", ...words, "-f", plain]);
    const command = ["haproxy", "-c", ...words, "-f", template];
    const ours = await runProgram(wrapperCommand("exec", { command }));
    assertEquals(ours.code, own.code, `${words.join(" ")}: ${ours.stderr}`);
  }
});

Deno.test("a config with a program section says why it is refused, also of a command with -W", async () => {
  using folder = tempDir();
  const path = folder.file("site.cfg.eta");
  const rest = ["program other", "command sleep 100"];
  Deno.writeTextFileSync(path, site(`<%= bind('${loopbackHost()}:80') %>`, "ok", { rest }));
  const command = ["haproxy", "-W", "-f", path];
  const { code, stderr } = await runProgram(wrapperCommand("exec", { command }));
  assertEquals(code, 1);
  assertMatch(stderr, /'program' section .* multibinder exec is the master here/);
});

Deno.test("the user's own variables reach the config, whatever they are called", async () => {
  await using binder = await startBinder();
  const target = newTarget();
  await using wrapper = await startWrapper(site(tag(target), '"${HAPROXY_MWORKER_NAME}"'), {
    sock: binder.sock,
    env: { HAPROXY_MWORKER_NAME: "mine", HAPROXY_MWORKER: "1" },
  });
  assertEquals(await get(target), "mine");
  const environment = Deno.readTextFileSync(`/proc/${(await wrapper.serving()).pid}/environ`).split(
    "\0",
  );
  assertEquals(environment.filter((one) => one.startsWith("HAPROXY_MWORKER=")), []);
});
