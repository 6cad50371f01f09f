import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { silentLog } from "../../tests/support/local_binder.ts";
import { settled } from "../../tests/support/poller.ts";
import { createPipe } from "../../ffi/pipe.ts";
import { Poller } from "../../ffi/poll.ts";
import type { SpawnOptions } from "../../ffi/spawn.ts";
import { UserError } from "../errors.ts";
import { type Child, Children } from "../process/children.ts";
import { Launch } from "./launch.ts";
import type { ServiceOptions } from "./service.ts";
import { PROFILES } from "./profiles.ts";
import { SERVERS, understand } from "./servers.ts";

const OPTIONS: ServiceOptions = { named: [{ name: "http", address: ":80" }], settle: 0 };

Deno.test("a server is chosen by its program's name, wherever the program is", () => {
  for (const program of ["haproxy", "/usr/sbin/haproxy", "./haproxy-3.2.26", "hapee-lb"]) {
    const { server } = understand([program, "-f", "site.cfg"], OPTIONS);
    assertEquals(server.name, "haproxy", program);
  }
  for (const program of ["xhaproxy", "./serve", "/haproxy/serve"]) {
    assertEquals(understand([program], OPTIONS).server.name, "generic", program);
  }
});

Deno.test("or by the name that was given, whatever the program is called", () => {
  assertEquals(understand(["lb", "-f", "a.cfg"], OPTIONS, "haproxy").server.name, "haproxy");
  assertEquals(understand(["haproxy", "-f", "a.cfg"], OPTIONS, "generic").server.name, "generic");
  assertThrows(
    () => understand(["lb"], OPTIONS, "apache"),
    UserError,
    'there is no server "apache"; there are haproxy, ',
  );
});

Deno.test("each server's example is a command that it understands, and only it", () => {
  for (const server of SERVERS) {
    const [program = "", ...rest] = server.example.split(" ");
    assertEquals(understand([program, ...rest], OPTIONS).server, server);
    assertEquals(SERVERS.find(({ program }) => program.test(server.name)), server);
    assertMatch(server.help, /\n$/);
  }
});

Deno.test("what is known of a server is not to be said of it", () => {
  const adjusted = {
    ...OPTIONS,
    check: "true",
    stopSignal: "SIGHUP",
    killSignal: "SIGINT",
  } as const;
  const { stopSignals } = understand(["serve"], adjusted);
  assertEquals(stopSignals, { soft: "SIGHUP", hard: "SIGINT" });
  for (const key of ["check", "stopSignal", "killSignal"] as const) {
    assertThrows(
      () => understand(["haproxy", "-f", "a.cfg"], { ...OPTIONS, [key]: adjusted[key] }),
      UserError,
      "multibinder knows this of haproxy; leave it out, or add --server generic",
    );
  }
});

Deno.test("{NAME} in a command is the number of a socket, for every server", () => {
  for (const words of [["haproxy", "-f", "{no}.cfg"], ["serve", "{no}"]] as const) {
    assertThrows(() => understand(words, OPTIONS), UserError, 'no --listen is named "no"');
  }
});

/** Starts nothing, and remembers what was to be started; it has ended at once. */
class Recorder extends Children {
  readonly started: SpawnOptions[] = [];

  override start(options: SpawnOptions): Child {
    this.started.push(options);
    return { pid: 2 ** 30, exited: Promise.resolve({ code: 0 }) };
  }
}

Deno.test("{ready} is the descriptor after those of all sockets, and of templates' as well", async () => {
  const poller = new Poller();
  const { reader, writer } = createPipe();
  using _reader = reader;
  using _writer = writer;
  // The sockets that no option names are a template's.
  const sockets = [reader, writer];
  for (
    const [named, words] of [[OPTIONS.named, ["{http}", "{ready}"]], [[], [
      "3",
      "{ready}",
    ]]] as const
  ) {
    using children = new Recorder();
    const service = understand(["serve", ...words], { ...OPTIONS, named, sign: "fd" });
    const launch = { children, poller, log: silentLog, files: new Map(), env: {}, sockets, named };
    await service.start(new Launch(launch)).exited;
    const [{ argv, env } = { argv: [] }] = children.started;
    assertEquals(argv.slice(-2), ["3", "5"]);
    assertEquals(env?.FD_READY, "5");
  }
  await settled(poller);
});

Deno.test("a profile makes of a command what checks its config, and the variables that it wants", () => {
  const profile = (name: string) => PROFILES.find((one) => one.name === name);
  const checks: [name: string, words: string[], check: string[]][] = [
    ["lighttpd", ["-D", "-f", "a.conf"], ["-tt", "-f", "a.conf"]],
    ["caddy", ["run", "--config", "Caddyfile"], ["validate", "--config", "Caddyfile"]],
    ["gunicorn", ["app:app"], ["--check-config", "app:app"]],
    ["php-fpm", ["--nodaemonize"], ["--test", "--nodaemonize"]],
  ];
  for (const [name, words, check] of checks) assertEquals(profile(name)?.check?.(words), check);
  const sockets = [":9000", "127.0.0.1:9001", "unix:/run/php.sock,mode=660", "*:9,backlog=64"];
  assertEquals(
    profile("php-fpm")?.variables?.(sockets.map((address) => ({ name: "a", address }))),
    { FPM_SOCKETS: "0.0.0.0:9000=3,127.0.0.1:9001=4,/run/php.sock=5,0.0.0.0:9=6" },
  );
});
