import { assertEquals } from "@std/assert";
import "../../../tests/support/libc.ts";
import { readConfig, unservedLines } from "./listen_lines.ts";

const dump = (...lines: string[]) =>
  ["# configuration file /etc/nginx/nginx.conf:", ...lines, ""].join("\n");

/** The keys of the addresses of one server's listen lines. */
function keysOf(...lines: string[]): (string | undefined)[] {
  const text = dump("http {", "server {", ...lines.map((line) => `listen ${line};`), "} }");
  return readConfig(text).listens.map(({ key }) => key);
}

Deno.test("an address of a listen line is read as nginx reads it", () => {
  const cases: [line: string, ...keys: (string | undefined)[]][] = [
    ["80", "tcp 4 0.0.0.0 80"],
    ["*:8080 default_server", "tcp 4 0.0.0.0 8080"],
    ["127.0.0.1", "tcp 4 127.0.0.1 80"],
    ["127.0.0.1:81 ssl", "tcp 4 127.0.0.1 81"],
    ["[::]:80", "tcp 6 :: 80"],
    ["[::]:80 ipv6only=off", "tcp 6 :: 80"],
    ["[::1]", "tcp 6 ::1 80"],
    ["unix:/run/a.sock", "unix /run/a.sock"],
    ["443 quic", "udp 4 0.0.0.0 443"],
    ["53 udp", "udp 4 0.0.0.0 53"],
    ["8001-8003", "tcp 4 0.0.0.0 8001", "tcp 4 0.0.0.0 8002", "tcp 4 0.0.0.0 8003"],
    ["localhost:80", undefined],
    ['"127.0.0.1:82"', "tcp 4 127.0.0.1 82"],
  ];
  for (const [line, ...keys] of cases) assertEquals(keysOf(line), keys, line);
});

Deno.test("comments, other files, other blocks and servers without a line are understood", () => {
  const text = dump(
    "pid /run/a.pid; # listen 1;",
    "stream { server { listen 5; } }",
    "http {",
    "  log_format main '$remote_addr {listen 2;}';",
    '  server { location / { return 200 "listen 3;"; } }',
    "  include sites/*;",
    "}",
  ) + "# configuration file /etc/nginx/sites/a:\nhttp {\nserver {\n  listen\n    7;\n}}\n";
  const { listens, pidFile } = readConfig(text);
  assertEquals(pidFile, "/run/a.pid");
  assertEquals(listens.map(({ at, text, key }) => ({ at, text, key })), [
    { at: "/etc/nginx/nginx.conf:2", text: "listen 5", key: "tcp 4 0.0.0.0 5" },
    { at: "/etc/nginx/nginx.conf:5", text: "server", key: "tcp 4 0.0.0.0 80" },
    { at: "/etc/nginx/sites/a:3", text: "listen 7", key: "tcp 4 0.0.0.0 7" },
  ]);
});

Deno.test("a line needs a socket unless one for every address covers it", () => {
  const { listens } = readConfig(dump(
    "http { server {",
    "listen 80; listen 127.0.0.1:80; listen [::1]:80; listen 127.0.0.1:81; listen localhost:82;",
    "} }",
  ));
  const missing = (...sockets: string[]) =>
    unservedLines(listens, new Set(sockets)).map(({ text }) => text);
  assertEquals(missing(), ["listen 80", "listen [::1]:80", "listen 127.0.0.1:81"]);
  assertEquals(missing("tcp 4 0.0.0.0 80", "tcp 6 ::1 80"), ["listen 127.0.0.1:81"]);
});
