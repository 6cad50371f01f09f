import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { UserError } from "../errors.ts";
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

Deno.test("a profile makes of a command what checks its config, and the variables that it wants", () => {
  const profile = (name: string) => PROFILES.find((one) => one.name === name);
  const checks: [name: string, words: string[], check: string[]][] = [
    ["lighttpd", ["-D", "-f", "a.conf"], ["-tt", "-f", "a.conf"]],
    ["caddy", ["run", "--config", "Caddyfile"], ["validate", "--config", "Caddyfile"]],
    ["gunicorn", ["app:app"], ["--check-config", "app:app"]],
    ["php-fpm", ["--nodaemonize"], ["--test", "--nodaemonize"]],
  ];
  for (const [name, words, check] of checks) assertEquals(profile(name)?.check?.(words), check);
  const sockets = [":9000", "127.0.0.1:9001", "unix:/run/php.sock"];
  assertEquals(
    profile("php-fpm")?.variables?.(sockets.map((address) => ({ name: "a", address }))),
    {
      FPM_SOCKETS: "0.0.0.0:9000=3,127.0.0.1:9001=4,/run/php.sock=5",
    },
  );
});
