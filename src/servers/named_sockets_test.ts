import { assertEquals, assertThrows } from "@std/assert";
import "../../tests/support/libc.ts";
import { UserError } from "../errors.ts";
import {
  insistOnDistinctNames,
  parseNamedSockets,
  variablesFor,
  withNumbers,
} from "./named_sockets.ts";

Deno.test("a socket has the name that it was given, or one by its address", () => {
  const cases: [text: string, name: string, address: string][] = [
    ["http=:80", "http", ":80"],
    ["a-b_9=[::1]:443", "a-b_9", "[::1]:443"],
    ["web=unix:/run/a=b.sock", "web", "unix:/run/a=b.sock"],
    [":80", "port80", ":80"],
    ["[::]:80", "port80", "[::]:80"],
    ["localhost:8080", "port8080", "localhost:8080"],
    ["udp::443", "udp443", "udp::443"],
    ["unix:/run/my.site.sock", "my-site", "unix:/run/my.site.sock"],
    ["unix:/run/a=b", "a-b", "unix:/run/a=b"],
    ["unix:@name", "name", "unix:@name"],
  ];
  for (const [text, name, address] of cases) {
    assertEquals(parseNamedSockets(text), [{ name, address }], text);
  }
});

Deno.test("what is no name or no one address is refused", () => {
  const cases = ["=:80", "1a=:80", "a.b=:80", "a b=:80", `${"a".repeat(65)}=:80`, "a=", "a=80"];
  cases.push("a=:81-80", "a=:0", "a=fd@3", "unix:/run/9", "", `${"a".repeat(63)}=:80-81`);
  for (const text of cases) assertThrows(() => parseNamedSockets(text), UserError, undefined, text);
});

Deno.test("what names several sockets numbers them", () => {
  const cases: [text: string, ...names: string[]][] = [
    ["web=:80,:81", "web-1 :80", "web-2 :81"],
    ["web=:80-81", "web-1 :80", "web-2 :81"],
    [":80-81", "port80 :80", "port81 :81"],
    ["web=:80,reuseport=2", "web-1 :80,reuseport=1/2", "web-2 :80,reuseport=2/2"],
    [":80,reuseport=2", "port80-1 :80,reuseport=1/2", "port80-2 :80,reuseport=2/2"],
    ["web=:80,backlog=5", "web :80,backlog=5"],
  ];
  for (const [text, ...sockets] of cases) {
    assertEquals(parseNamedSockets(text).map(({ name, address }) => `${name} ${address}`), sockets);
  }
});

const sockets = [{ name: "http", address: ":80" }, { name: "my-tls", address: ":443" }];

Deno.test("two sockets cannot have one name, nor one variable", () => {
  insistOnDistinctNames(sockets);
  for (const name of ["http", "HTTP", "my_tls"]) {
    const all = [...sockets, { name, address: ":1" }];
    assertThrows(() => insistOnDistinctNames(all), UserError, `"${name}" for :1 are one name`);
  }
});

Deno.test("the environment tells their number, names and descriptors, and nothing of none", () => {
  assertEquals(variablesFor([]), {});
  assertEquals(variablesFor(sockets), {
    LISTEN_FDS: "2",
    LISTEN_FDNAMES: "http:my-tls",
    FD_HTTP: "3",
    FD_MY_TLS: "4",
  });
});

Deno.test("words have numbers in the place of names, and what is no name is left", () => {
  const words = ["{http}", "fd://{http}", "{my-tls},{http}", "{}", "{1}", "a{{http}}b", "{{}}"];
  const [program, ...rest] = withNumbers(["a{http}", ...words], sockets);
  assertEquals(program, "a{http}");
  assertEquals(rest, ["3", "fd://3", "4,3", "{}", "{1}", "a{http}b", "{{}}"]);
  assertEquals(withNumbers(["a", "{ready}"], sockets, { ready: 5 }), ["a", "5"]);
  const wrong = assertThrows(() => withNumbers(["a", "--fd={https}"], sockets), UserError);
  assertEquals(
    wrong.message,
    '--fd={https}: no --listen is named "https"; there are http, my-tls ({{https}} stands for {https} itself)',
  );
  assertEquals(withNumbers(["a", "{x}", "{{y}}"], []), ["a", "{x}", "{{y}}"]);
});
