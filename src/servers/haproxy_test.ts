import {
  assert,
  assertEquals,
  assertMatch,
  assertNotMatch,
  assertRejects,
  assertStrictEquals,
  fail,
} from "@std/assert";
import { leavesNoDescriptors, openDescriptors, openFile } from "../../tests/support/descriptors.ts";
import { connectedPair } from "../../tests/support/connection.ts";
import { settled } from "../../tests/support/poller.ts";
import { openFds } from "../../tests/support/process.ts";
import { childrenOf, processStatus, until } from "../../tests/support/process_status.ts";
import { tempDir } from "../../tests/support/temp_dir.ts";
import { POLLIN } from "../../ffi/constants.ts";
import type { Fd } from "../../ffi/fd.ts";
import { createMemfd } from "../../ffi/memfd.ts";
import { Poller } from "../../ffi/poll.ts";
import { sendSignal } from "../../ffi/process.ts";
import { Children } from "../process/children.ts";
import { UserError } from "../errors.ts";
import { createLog } from "../log.ts";
import { RefusedConfig } from "./check.ts";
import { cleanEnvironment, haproxy } from "./haproxy.ts";
import { exitCodeOf, Launch } from "./launch.ts";
import type { Begun, Service, Started } from "./service.ts";

/** Milliseconds that no test needs: it would fail. */
const LONG = 20_000;
const OPTIONS = { named: [], settle: 0 };
const MARKS = { MARK: "of a generation" };
const poller = new Poller();
const log = createLog({ format: "text", level: "error" });

/** Tells the pid after -sf that it is up, as HAProxy does. */
const TELL = 'for word; do [ "$last" != -sf ] || kill -USR1 "$word"; last=$word; done\n';
const SERVE = "exec sleep 1000\n";

/** A script that stands for HAProxy; what was started is killed at the end of the scope. */
class Scene implements AsyncDisposable {
  readonly #folder = tempDir();
  readonly #children = new Children();
  /** Waits, as the wrapper does: a listener for signals alone does not keep a program running. */
  readonly #ends = connectedPair();
  readonly #waiting = poller.wait(this.#ends[0], POLLIN);
  readonly #files: Map<string, string>;
  readonly service: Service;
  readonly program: string;

  constructor(script: string | undefined, mode = 0o755) {
    this.program = this.#folder.file("haproxy");
    if (script !== undefined) Deno.writeTextFileSync(this.program, `#!/bin/sh\n${script}`);
    if (script !== undefined) Deno.chmodSync(this.program, mode);
    const template = this.#folder.file("site.cfg.eta");
    this.service = haproxy.understand([this.program, "-f", template], OPTIONS);
    this.#files = new Map([[template, this.#folder.file("site.cfg")]]);
  }

  #launch(sockets: readonly Fd[] = [], marks?: Record<string, string>): Launch {
    return new Launch({
      children: this.#children,
      poller,
      log,
      files: this.#files,
      env: Deno.env.toObject(),
      sockets,
      marks,
    });
  }

  start(sockets: readonly Fd[], marks: Record<string, string>, begun?: Begun): Started {
    return this.service.start(this.#launch(sockets, marks), begun);
  }

  /** Checks, and lets go of what was begun for a start. */
  async check(sockets: readonly Fd[], timeout: number): Promise<void> {
    (await this.begin(sockets, timeout))?.[Symbol.dispose]();
  }

  async begin(sockets: readonly Fd[], timeout: number): Promise<Begun | undefined> {
    return await this.service.check(this.#launch(sockets), timeout) ?? undefined;
  }

  async run(): Promise<number> {
    return exitCodeOf(await this.service.run(this.#launch()).exited);
  }

  /** What a program of this scene was called with. */
  argvOf(pid: number): string[] {
    return Deno.readTextFileSync(`/proc/${pid}/cmdline`).split("\0").slice(0, -1)
      .map((word) => word.replace(this.#folder.path, "FOLDER"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    childrenOf(Deno.pid).forEach((pid) => sendSignal(pid, "SIGKILL"));
    await noChildren();
    poller.cancel(this.#ends[0]);
    await this.#waiting;
    await settled(poller);
    this.#ends.forEach((fd) => fd.close());
    this.#children[Symbol.dispose]();
    this.#folder[Symbol.dispose]();
  }
}

function noChildren(): Promise<void> {
  return until(() => childrenOf(Deno.pid).length === 0);
}

Deno.test("a generation is ready when it tells the latch, which is gone then", async () => {
  await leavesNoDescriptors(async () => {
    await using scene = new Scene(TELL + SERVE);
    const server = scene.start([], MARKS);
    assertStrictEquals(await server.ready, undefined);
    assertEquals(childrenOf(Deno.pid), [server.pid]);
    sendSignal(server.pid, "SIGTERM");
    assertEquals(await server.exited, { signal: 15 });
  });
});

const CHECK = 'case "$*" in *-c) exit 0 ;; esac\n';

Deno.test("a check begins the latch of the start, which makes another if that is gone", async () => {
  await leavesNoDescriptors(async () => {
    await using scene = new Scene(CHECK + TELL + SERVE);
    const begun = await scene.begin([], LONG);
    const [latch = 0, ...others] = childrenOf(Deno.pid);
    assertEquals(others, []);
    const first = scene.start([], MARKS, begun);
    assertStrictEquals(await first.ready, undefined);
    assertStrictEquals(processStatus(latch, "State"), undefined);
    const second = scene.start([], MARKS, begun);
    assertStrictEquals(await second.ready, undefined);
    assertEquals(childrenOf(Deno.pid).toSorted(), [first.pid, second.pid].toSorted());
  });
});

Deno.test("the latch is not stopped by what HAProxy sends it while a port is in use", async () => {
  await using scene = new Scene(`${TELL.replace("-USR1", "-TTOU")}kill -STOP $$\n`);
  const server = scene.start([], MARKS);
  await until(() => processStatus(server.pid, "State")?.startsWith("T") ?? false);
  const [latch = 0] = childrenOf(Deno.pid).filter((pid) => pid !== server.pid);
  await until(() => /^0+$/.test(processStatus(latch, "ShdPnd") ?? ""));
  assertNotMatch(processStatus(latch, "State") ?? "", /^T/);
  sendSignal(latch, "SIGUSR1");
  assertStrictEquals(await server.ready, undefined);
});

Deno.test("it runs in the foreground, with the rendered config, its marks and its sockets", async () => {
  await using scene = new Scene("kill -STOP $$\n");
  using a = createMemfd("a");
  using b = createMemfd("b");
  const server = scene.start([a, b], MARKS);
  const words = () => scene.argvOf(server.pid);
  await until(() => words().includes("-sf"));
  const [latch] = childrenOf(Deno.pid).filter((pid) => pid !== server.pid);
  const options = ["-f", "FOLDER/site.cfg", "-db", "-sf", String(latch)];
  assertEquals(words(), ["/bin/sh", "FOLDER/haproxy", ...options]);
  const environment = Deno.readTextFileSync(`/proc/${server.pid}/environ`).split("\0");
  assert(environment.includes("MARK=of a generation"));
  const inherited = openFds(server.pid);
  assertEquals([a, b].map(openFile), [inherited.get(3), inherited.get(4)]);
});

Deno.test("a generation that ends before it is up is not ready, and the latch goes with it", async () => {
  await leavesNoDescriptors(async () => {
    await using scene = new Scene("exit 3\n");
    const server = scene.start([], MARKS);
    assertEquals(await server.exited, { code: 3 });
    assertMatch(await server.ready ?? "", / ended with exit code 0 /);
    assertEquals(childrenOf(Deno.pid), []);
  });
});

Deno.test("a latch that ends otherwise than by the news is no news", async () => {
  await using scene = new Scene(SERVE);
  const server = scene.start([], MARKS);
  const [latch = 0] = childrenOf(Deno.pid).filter((pid) => pid !== server.pid);
  sendSignal(latch, "SIGKILL");
  const why = / ended with exit code 137 when it was to wait for HAProxy: /;
  assertMatch(await server.ready ?? "", why);
  assertEquals(childrenOf(Deno.pid), [server.pid]);
});

Deno.test("what cannot be run says why, with a shell's exit code, and leaves nothing", async () => {
  const cases: [script: string | undefined, mode: number, code: number, why: RegExp][] = [
    [undefined, 0, 127, /^command not found: .*haproxy$/],
    [SERVE, 0o644, 126, /^cannot run .*haproxy: .*\(EACCES\)$/],
  ];
  for (const [script, mode, code, why] of cases) {
    await leavesNoDescriptors(async () => {
      await using scene = new Scene(script, mode);
      const attempts = [
        () => Promise.resolve(scene.start([], MARKS)),
        () => scene.check([], LONG),
        () => scene.run(),
      ];
      for (const attempt of attempts) {
        const error = await assertRejects(async () => await attempt());
        assert(error instanceof UserError && !(error instanceof RefusedConfig), String(error));
        assertMatch(error.message, why);
        assertStrictEquals(error.exitCode, code);
      }
      // Nobody kills the latch here: it ends because nobody holds it any more.
      await noChildren();
    });
  }
});

/** What a check says, and how it ends. */
function checkWith(script: string, fds: readonly Fd[] = [], timeout = LONG): Promise<void> {
  return leavesNoDescriptors(async () => {
    await using scene = new Scene(script);
    await scene.check(fds, timeout);
  });
}

/** The refusal of a check. */
async function refusalOf(script: string, timeout?: number): Promise<RefusedConfig> {
  try {
    await checkWith(script, [], timeout);
  } catch (error) {
    if (error instanceof RefusedConfig) return error;
    throw error;
  }
  return fail("the config was accepted");
}

Deno.test("a config is checked with the sockets in place, and what is said then is not shown", async () => {
  using file = createMemfd("socket");
  const isCheck = '[ "$*" = "-f ${0%haproxy}site.cfg -c" ] || exit 4\n';
  const hasSocket = `[ "$(readlink /proc/$$/fd/3)" = "${openFile(file)}" ] || exit 5\n`;
  const hasNoMore = '[ ! -e /proc/$$/fd/4 ] && [ -z "$MARK" ] || exit 6\n';
  await checkWith(`${isCheck}${hasSocket}${hasNoMore}echo fine; exit 0\n`, [file]);
});

Deno.test("a refused config is told in HAProxy's words", async () => {
  const output = [
    "[NOTICE]   (12) : haproxy version is 2.6.12",
    "[ALERT]    (12) : config : parsing [site.cfg:3] : unknown keyword 'oops'",
    "[ALERT]    (12) : config : Fatal errors found in configuration.",
  ];
  const error = await refusalOf(`cat <<'END' >&2\n${output.join("\n\n")}\nEND\nexit 1\n`);
  assertEquals(error.output, output);
  const alert = "config : parsing [site.cfg:3] : unknown keyword 'oops'";
  assertStrictEquals(error.message, `HAProxy refused the config: ${alert}`);
  assertStrictEquals(error.exitCode, 1);
});

Deno.test("without an alert the reason is the first line that is more than a notice", async () => {
  const lines = ["[NOTICE]   (12) : haproxy version is 2.6.12", "no listener => exit(2).", "more"];
  const error = await refusalOf(`cat <<'END' >&2\n${lines.join("\n")}\nEND\nexit 2\n`);
  assertStrictEquals(error.message, "HAProxy refused the config: no listener => exit(2).");
  assertEquals([error.exitCode, error.output], [2, lines]);
});

Deno.test("what a check says is told, in whatever encoding the config is", async () => {
  const { output } = await refusalOf("printf '[ALERT] (1) : b\\344nd\\n'; exit 1\n");
  assertEquals(output, ["[ALERT] (1) : b\ufffdnd"]);
  const cut = "head -c 65535 /dev/zero | tr '\\0' x; printf '\\303\\274'; exit 1\n";
  assertStrictEquals((await refusalOf(cut)).output.join("").at(-1), "\ufffd");
});

Deno.test("a check that says nothing, says too much, is killed or hangs is a refusal", async () => {
  const silent = await refusalOf("exit 7\n");
  assertEquals([silent.message, silent.output, silent.exitCode], [
    "HAProxy refused the config",
    [],
    7,
  ]);
  const endless = "head -c 1000000 /dev/zero | tr '\\0' x; exit 1\n";
  assertStrictEquals((await refusalOf(endless)).output.join("").length, 64 * 1024);

  const crashed = await refusalOf("kill -SEGV $$\n");
  assertStrictEquals(crashed.message, "HAProxy refused the config: signal 11 ended the check");
  assertStrictEquals(crashed.exitCode, 139);
  const hung = await refusalOf(SERVE, 10);
  assertStrictEquals(
    hung.message,
    "HAProxy did not check the config within 10ms (--ready-timeout)",
  );
  assertStrictEquals(hung.exitCode, 1);
});

Deno.test("a command that ends by itself passes its exit code on, 128 + n for a signal", async () => {
  for (const [script, code] of [["exit 0", 0], ["exit 3", 3], ["kill -TERM $$", 143]] as const) {
    await using scene = new Scene(`${script}\n`);
    assertStrictEquals(await scene.run(), code);
  }
});

Deno.test("many generations leave no descriptor here", async () => {
  await using scene = new Scene(TELL + SERVE);
  const generation = async () => {
    const server = scene.start([], MARKS);
    await server.ready;
    sendSignal(server.pid, "SIGKILL");
    await server.exited;
  };
  await generation();
  const before = openDescriptors();
  for (let count = 0; count < 3; count++) await generation();
  assertStrictEquals(openDescriptors(), before);
});

Deno.test("what a master tells its workers does not reach a server", () => {
  const env = { PATH: "/bin", HAPROXY_LOCALPEER: "a", MY_HAPROXY_PROCESSES: "b" };
  const masters = { HAPROXY_MWORKER: "1", HAPROXY_MWORKER_REEXEC: "1", HAPROXY_PROCESSES: "x" };
  assertEquals(cleanEnvironment({ ...masters, ...env }), env);
});

Deno.test("a line of HAProxy's is as grave as its tag says", () => {
  const service = haproxy.understand(["haproxy", "-f", "site.cfg"], OPTIONS);
  const levels = { NOTICE: "info", WARNING: "warn", ALERT: "error" };
  for (const [tag, level] of Object.entries(levels)) {
    assertEquals(service.levelOf(`[${tag}]  (1) : x`), level);
  }
  assertEquals(service.levelOf("no listener => exit(2)."), undefined);
});

Deno.test("several sockets of one bind line are named in one go", () => {
  assertEquals(haproxy.socketNames([3, 4]), "fd@3,fd@4");
});
