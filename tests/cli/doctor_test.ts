/** `multibinder doctor`: what it finds on this machine, of the binder and the wrapper that run. */

import { assert, assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { multibinder, startBinder } from "../support/binder.ts";
import { site, startWrapper, tag } from "../support/haproxy.ts";
import { addressOf, newTarget } from "../support/http_client.ts";
import { runProgram } from "../support/program.ts";
import { loopbackHost, tempDir } from "../support/temp_dir.ts";
import { ignoreUnless } from "../support/users.ts";

interface Finding {
  check: string;
  level: "ok" | "unknown" | "warning" | "failure";
  message: string;
  remedy: string | null;
}

/** Runs it. @returns its exit code, and what it found by the name of the check */
async function doctor(
  args: readonly string[],
  through: readonly string[] = [],
): Promise<{ code: number; found: Map<string, Finding> }> {
  const [file = "", ...rest] = [...through, multibinder(), "doctor", "--json", ...args];
  const { code, stdout, stderr } = await runProgram([file, ...rest]);
  assertStrictEquals(stderr, "");
  const findings: Finding[] = JSON.parse(stdout);
  for (const { level, remedy } of findings) assert(level === "ok" || level === "unknown" || remedy);
  assertStrictEquals(code, findings.some(({ level }) => level === "failure") ? 1 : 0);
  return { code, found: new Map(findings.map((one) => [one.check, one])) };
}

Deno.test("a wrapper: its binary, its generations, its server's version and config", async () => {
  const target = { hostname: loopbackHost(), port: 80 };
  await using binder = await startBinder([`${target.hostname}:80`]);
  const global = ["close-spread-time 1s", "hard-stop-after 1m"];
  const good = site(tag(target), "ok", { global });
  await using wrapper = await startWrapper(good, { sock: binder.sock });
  const look = () => doctor(["--sock", wrapper.control]);
  const first = await look();
  const fine = [
    "binary",
    "old_generations",
    "server_version",
    "server_build",
    "plain_bind",
    "close_spread_time",
    "hard_stop_after",
    "tcp_abort_on_overflow",
    "descriptors",
  ];
  for (const check of fine) assertStrictEquals(first.found.get(check)?.level, "ok", check);
  assertStrictEquals(first.code, 0);

  // Each thing that is worse is found, and nothing else than what was made worse.
  wrapper.template = site([tag(target), `${loopbackHost()}:81`], "ok", {
    global: global.slice(0, 1),
  });
  assertStrictEquals((await wrapper.reload()).ok, true);
  const second = await look();
  const worse = [...second.found.values()].filter(({ check, level }) =>
    level !== first.found.get(check)?.level
  );
  assertEquals(worse.map(({ check, level }) => `${check}: ${level}`).sort(), [
    "hard_stop_after: warning",
    "plain_bind: warning",
  ]);
  wrapper.template = "nonsense";
  assertStrictEquals((await wrapper.reload()).ok, false);
  const third = await look();
  assertStrictEquals(third.found.get("last_reload")?.level, "failure");
  assertStrictEquals(third.code, 1);
  // The binder knows what its wrappers have told it.
  await binder.waitFor(({ wrappers }) => wrappers[0]?.lastReload?.ok === false);
  const ofBinder = await doctor(["--sock", binder.sock]);
  assertStrictEquals(ofBinder.found.get("last_reload")?.level, "failure");
  assertMatch(ofBinder.found.get("last_reload")?.message ?? "", new RegExp(wrapper.path));
});

Deno.test("old generations that pile up, and clients that nobody serves", async () => {
  const target = newTarget();
  const args = ["--unserved-after", "100ms"];
  await using binder = await startBinder([addressOf(target)], { args });
  using clients = new DisposableStack();
  {
    await using wrapper = await startWrapper(site(tag(target), "ok"), { sock: binder.sock });
    for (let count = 0; count < 3; count++) {
      const client = clients.use(await Deno.connect(target));
      await client.write(new TextEncoder().encode("GET / HTTP/1.1\r\n"));
      assertStrictEquals((await wrapper.reload()).ok, true);
    }
    const { found, code } = await doctor(["--sock", wrapper.control]);
    assertStrictEquals(found.get("old_generations")?.level, "warning");
    assertMatch(found.get("old_generations")?.message ?? "", /: 3 old generations drain at once/);
    assertStrictEquals(code, 0);
  }
  clients.use(await Deno.connect(target));
  await binder.waitFor(({ troubles }) => troubles.length > 0);
  const { found, code } = await doctor(["--sock", binder.sock]);
  assertStrictEquals(found.get("listener_unserved")?.level, "failure");
  assertStrictEquals(code, 1);
});

Deno.test("a binary that was replaced since, and queues that the kernel has cut", async () => {
  using folder = tempDir();
  const program = folder.file("multibinder");
  Deno.copyFileSync(multibinder(), program);
  const somaxconn = Number(Deno.readTextFileSync("/proc/sys/net/core/somaxconn"));
  const args = ["--backlog", String(somaxconn + 1)];
  await using binder = await startBinder([`${loopbackHost()}:0`], { program, args });
  const before = await doctor(["--sock", binder.sock]);
  assertStrictEquals(before.found.get("binary")?.level, "ok");
  for (const check of ["somaxconn", "accept_queue"]) {
    assertStrictEquals(before.found.get(check)?.level, "warning", check);
  }
  Deno.copyFileSync(multibinder(), `${program}.new`);
  Deno.renameSync(`${program}.new`, program);
  const { found, code } = await doctor(["--sock", binder.sock]);
  assertStrictEquals(found.get("binary")?.level, "warning");
  assertStrictEquals(found.get("binary")?.remedy, `multibinder upgrade --sock ${binder.sock}`);
  assertStrictEquals(code, 0, "a warning is no failure");
});

Deno.test({
  name: "limits are those of the process that answers, not those of who asks",
  ignore: ignoreUnless(Deno.uid() === 0, "to set limits and settings of a network needs root"),
  async fn() {
    const addresses = Array.from({ length: 20 }, (_, at) => `${loopbackHost()}:${8000 + at}`);
    const through = ["prlimit", "--nofile=100:100"];
    await using binder = await startBinder(addresses, { through });
    const limited = await doctor(["--sock", binder.sock]);
    assertStrictEquals(limited.found.get("descriptors")?.level, "warning");
    assertMatch(limited.found.get("descriptors")?.message ?? "", /may open 100 files/);
    // In a network of its own a setting is nobody else's; the binder is not in that one.
    const overflow = 'echo 1 > /proc/sys/net/ipv4/tcp_abort_on_overflow && exec "$0" "$@"';
    const elsewhere = ["unshare", "--net", "sh", "-c", overflow];
    const other = await doctor(["--sock", binder.sock], elsewhere);
    assertStrictEquals(other.found.get("tcp_abort_on_overflow")?.level, "unknown");
    const nobody = await doctor(["--sock", "/nonexistent/control.sock"], elsewhere);
    assertStrictEquals(nobody.found.get("tcp_abort_on_overflow")?.level, "failure");
    assertStrictEquals(nobody.code, 1);
  },
});

Deno.test("servers that no wrapper runs yet: an nginx's config, and who gets the signals of any other", async () => {
  using folder = tempDir();
  const sock = folder.file("nobody.sock");
  const look = async (...command: string[]) =>
    (await doctor(["--sock", sock, "--", ...command])).found;
  const path = folder.file("nginx.conf");
  const [bad, good] = [
    "http { server { listen 81 reuseport; } }",
    "http { server { listen 81; } }",
  ];
  Deno.writeTextFileSync(path, `events {}\n${bad}\n`);
  const nginx = await look("nginx", "-c", path);
  assertStrictEquals(nginx.get("reuseport")?.level, "failure");
  assertMatch(nginx.get("reuseport")?.message ?? "", /nginx\.conf:2: listen 81 reuseport: /);
  assertStrictEquals(nginx.get("worker_shutdown_timeout")?.level, "warning");
  Deno.writeTextFileSync(path, `events {}\n${good}\n`);
  const directives = await look("nginx", "-g", "worker_shutdown_timeout 5m;", "-c", path);
  assertStrictEquals(directives.get("reuseport"), undefined);
  assertStrictEquals(directives.get("worker_shutdown_timeout")?.level, "ok");
  assertStrictEquals(
    (await look("nginx", "-c", folder.file("none"))).get("config")?.level,
    "unknown",
  );

  assertStrictEquals(
    (await look("sh", "-c", "python3 server.py")).get("program")?.level,
    "warning",
  );
  assertStrictEquals((await look("npm", "start")).get("program")?.level, "warning");
  assertStrictEquals((await look("python3", "server.py")).get("program")?.level, "ok");
});

Deno.test("a command that is to be run, and people who read", async () => {
  using folder = tempDir();
  const path = folder.file("site.cfg.eta");
  Deno.writeTextFileSync(path, site("127.0.0.1:81", "ok"));
  const sock = folder.file("nobody.sock");
  const { found, code } = await doctor(["--sock", sock, "--", "haproxy", "-f", path]);
  assertStrictEquals(found.get("running")?.level, "unknown");
  assertStrictEquals(found.get("plain_bind")?.level, "failure", "none is inherited");
  assertStrictEquals(code, 1);
  const missing = await doctor(["--sock", sock, "--", folder.file("haproxy"), "-f", path]);
  assertStrictEquals(missing.found.get("server")?.level, "failure");
  assertMatch(missing.found.get("server")?.message ?? "", /^command not found: /);
  const text = await runProgram([multibinder(), "doctor", "--sock", sock]);
  for (const line of text.stdout.trimEnd().split("\n")) {
    assertMatch(line, /^(ok|unknown|warning|failure| {8}) /);
  }
});
