import { assertEquals, assertMatch } from "@std/assert";
import { examineBuild, examineConfig } from "./diagnosis.ts";

const BUILD = `HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/
Status: long-term supported branch - will stop receiving fixes around Q2 2027.
Total: 3 (3 usable), will use epoll.
`;

function levels(findings: ReturnType<typeof examineBuild>): Record<string, string> {
  return Object.fromEntries(findings.map(({ check, level }) => [check, level]));
}

Deno.test("what HAProxy says of itself", () => {
  const good = { server_version: "ok", server_build: "ok" };
  const cases: [string, string, Record<string, string>][] = [
    ["", "", good],
    ["version 2.6.12-1+deb12u4", "version 2.3.0", good],
    ["version 2.6.12-1+deb12u4", "version 2.2.33", { ...good, server_version: "failure" }],
    ["HAProxy version 2.6", "HA-Proxy version 1.8", { ...good, server_version: "failure" }],
    ["version 2.6.12-1+deb12u4", "version 3.2.26", good],
    ["long-term supported branch", "End of life", { ...good, server_version: "warning" }],
    ["use epoll", "use poll", { ...good, server_build: "warning" }],
    [BUILD, "hello\n", { server_version: "unknown" }],
  ];
  for (const [from, to, expected] of cases) {
    assertEquals(levels(examineBuild(BUILD.replace(from, to))), expected, `${from} -> ${to}`);
  }
});

const CONFIG = `global
  hard-stop-after 5m
  close-spread-time 3s
frontend a
  bind <%= bind_tcp('0.0.0.0', 80) %>
  bind fd@4
  bind /run/a.sock  # bind :1 in a comment
`;

function examine(from: string, to: string) {
  return examineConfig([{ path: "a.cfg", text: CONFIG.replace(from, to) }], ["haproxy"])
    .filter(({ level }) => level !== "ok");
}

Deno.test("a config that does all it should is fine", () => {
  assertEquals(examine("", ""), []);
});

Deno.test("a keyword that shapes a drain is missed", () => {
  for (const name of ["close-spread-time", "hard-stop-after"]) {
    const [finding, ...rest] = examine(`  ${name}`, `  # ${name}`);
    assertEquals([finding?.check, finding?.level], [name.replaceAll("-", "_"), "warning"]);
    assertMatch(finding?.remedy ?? "", new RegExp(`write "${name} \\d`));
    assertEquals(rest, []);
  }
});

Deno.test("a port that HAProxy binds by itself is found, with its line", () => {
  const [finding, ...rest] = examine("bind /run/a.sock", "bind :8404");
  assertEquals([finding?.check, finding?.level], ["plain_bind", "warning"]);
  assertMatch(finding?.message ?? "", /^a\.cfg:7: :8404 is bound by HAProxy itself, beside 2 /);
  assertEquals(finding?.remedy, "in a template, bind <%= bind(':8404') %>");
  assertEquals(rest, []);
});

Deno.test("a config without an inherited socket is a failure, and so is one that cannot be up twice", () => {
  const none = examineConfig([{ path: "a.cfg", text: "frontend a\nbind :80\n" }], ["haproxy"]);
  assertEquals(levels(none).plain_bind, "failure");
  const twice = examineConfig([{ path: "a.cfg", text: "frontend a\nbind abns@x\n" }], ["haproxy"]);
  assertEquals(levels(twice).config_reloadable, "failure");
  const { message = "", remedy = "" } = twice[0] ?? {};
  assertMatch(message, /no reload would succeed$/);
  assertMatch(remedy, /^have it bound for both, in a template/);
});
