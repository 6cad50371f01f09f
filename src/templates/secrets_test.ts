import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import fc from "fast-check";
import { failure } from "../../tests/support/templates.ts";
import { createLog } from "../log.ts";
import { hiderOf, hidingLog } from "./secrets.ts";

const SECRET = 'hunter2 "and" more';
const ENV = { PASSWORD: SECRET, PIN: "123", OTHER: "untouched", TOKEN: "hunter2-token" };

Deno.test("the values of variables that a config names are hidden, whole and by word", () => {
  const config = "<%= ENV['PASSWORD'] %> <%= ENV['PIN'] %>\nauth ${TOKEN}\n";
  const hide = hiderOf(ENV, [config]);
  const cases: [text: string, hidden: string][] = [
    ["unknown keyword 'hunter2' in 'frontend'", "unknown keyword '$PASSWORD' in 'frontend'"],
    [`it is ${SECRET}!`, "it is $PASSWORD!"],
    [`it is ${JSON.stringify(SECRET)}`, 'it is "$PASSWORD"'],
    ["the longest first: hunter2-token", "the longest first: $TOKEN"],
    [
      "123 is too short, and untouched is named nowhere",
      "123 is too short, and untouched is named nowhere",
    ],
  ];
  for (const [text, hidden] of cases) assertStrictEquals(hide(text), hidden);
});

Deno.test("no value is told, whatever characters it has and whatever stands around it", () => {
  const word = fc.string({ minLength: 12, maxLength: 40 }).filter((text) => !/\s/.test(text));
  fc.assert(fc.property(word, fc.nat(99), fc.nat(99), (value, before, after) => {
    const hide = hiderOf({ NAME: value }, ["<%= ENV.NAME %>"]);
    assertStrictEquals(hide(`${before}${value}${after}`), `${before}$NAME${after}`);
  }));
});

Deno.test("a template's own errors tell no value that it was given", () => {
  const templates = [
    "<% throw new Error(ENV['PASSWORD']) %>",
    "<%= JSON.parse(ENV['PASSWORD']) %>",
    "<%= bind(ENV['PASSWORD'] + ':') %>",
    "<%= bind(':80', { mode: ENV['PASSWORD'] }) %>",
    "<%= bind(':80', { [ENV['PASSWORD']]: 1 }) %>",
    "<%= bind_tcp('127.0.0.1', ENV['PASSWORD']) %>",
    "<%= new URL(ENV['PASSWORD']) %>",
    "<%= 'x'.repeat(-ENV['PASSWORD'].length) %>",
    "<% const { PASSWORD } = ENV; throw PASSWORD %>",
    "<%= decodeURIComponent('%' + ENV.fetch('PASSWORD')) %>",
    "<%= ENV[ENV['PASSWORD']] %>",
    "<%= ENV.fetch(ENV['PASSWORD']) %>",
  ];
  for (const template of templates) {
    const { message } = failure(template, {
      env: ENV,
      bind: () => {
        throw new Error(`malformed address "${SECRET}"`);
      },
    });
    for (const word of SECRET.split(" ")) {
      const told = message.replaceAll("PASSWORD", "");
      assert(!told.includes(word), `${template}: ${message}`);
    }
  }
});

Deno.test("a log hides in its messages and in its fields", () => {
  const lines: string[] = [];
  const log = createLog({ format: "json", level: "debug" }, (line) => lines.push(line));
  const hiding = hidingLog(log, hiderOf(ENV, ["<% ENV.TOKEN %>"]));
  for (const level of ["debug", "info", "warn", "error"] as const) {
    hiding[level](`it says hunter2-token`, { status: "hunter2-token", pid: 7 });
  }
  const events = lines.map((line) => JSON.parse(line));
  assertEquals(events.map(({ time: _, ...rest }) => rest), [
    { level: "debug", message: "it says $TOKEN", status: "$TOKEN", pid: 7 },
    { level: "info", message: "it says $TOKEN", status: "$TOKEN", pid: 7 },
    { level: "warn", message: "it says $TOKEN", status: "$TOKEN", pid: 7 },
    { level: "error", message: "it says $TOKEN", status: "$TOKEN", pid: 7 },
  ]);
});
