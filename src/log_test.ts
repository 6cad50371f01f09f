import { assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import fc from "fast-check";
import "../tests/support/libc.ts";
import { SystemError } from "../ffi/errno.ts";
import {
  createLog,
  type Fields,
  type Format,
  isJournal,
  type Level,
  LEVELS,
  stackOf,
} from "./log.ts";

/** A log that keeps its lines. */
function memoryLog(format: Format, level: Level = "debug") {
  const lines: string[] = [];
  return { log: createLog({ format, level }, (line) => lines.push(line)), lines };
}

/** The one line of an event, without its time. */
function line(message: string, fields?: Fields): string {
  const { log, lines } = memoryLog("text");
  log.info(message, fields);
  assertStrictEquals(lines.length, 1);
  return (lines[0] ?? "").replace(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z /, "");
}

Deno.test("a line of text has the time, the level, the message and the fields", () => {
  assertStrictEquals(
    line("holding", { address: ":80", backlog: 1000, new: true, port: undefined }),
    "info holding address=:80 backlog=1000 new=true\n",
  );
});

Deno.test("a value that could be misread is quoted", () => {
  const values: [value: string, written: string][] = [
    ["plain", "plain"],
    ["[::1]:80", "[::1]:80"],
    ["", '""'],
    ["two words", '"two words"'],
    ["a=b", '"a=b"'],
    ['say "hi"', String.raw`"say \"hi\""`],
    ["back\\slash", "back\\slash"],
    ["line\nbreak", String.raw`"line\nbreak"`],
    ["\x1b[31mred", String.raw`"\u001b[31mred"`],
    ["\x7f", String.raw`"\u007f"`],
    ["\x9b31m", String.raw`"\u009b31m"`],
    ["a\u2028b", String.raw`"a\u2028b"`],
  ];
  for (const [value, written] of values) {
    assertStrictEquals(line("m", { value }), `info m value=${written}\n`);
  }
});

Deno.test("whatever a peer sends, an event is one line and steers no terminal", () => {
  const text = fc.string({ unit: "binary" });
  fc.assert(
    fc.property(text, text, (message, value) => {
      for (const format of ["text", "json"] as const) {
        const { log, lines } = memoryLog(format);
        log.warn(message, { value });
        assertStrictEquals(lines.length, 1);
        const [line = ""] = lines;
        assertStrictEquals(line.indexOf("\n"), line.length - 1);
        assertMatch(line, /^[^\p{Cc}\u2028\u2029]*\n$/u);
        if (format === "json") {
          const sent = JSON.parse(JSON.stringify([message, value]));
          const { message: logged, value: field } = JSON.parse(line);
          assertEquals([logged, field], sent);
        }
      }
    }),
    { examples: [["\x9b31m", "\x7f\u2028"]] },
  );
});

Deno.test("a message cannot forge another line", () => {
  assertStrictEquals(
    line("bad\n2000-01-01 error forged\r\x1b[2J"),
    String
      .raw`info bad\n2000-01-01 error forged\r\u001b[2J` + "\n",
  );
});

Deno.test("a line of JSON has the same, with the types kept", () => {
  const { log, lines } = memoryLog("json");
  log.error("no\n", { address: "a b", backlog: 5, port: undefined, ok: false });
  const { time, ...rest } = JSON.parse(lines[0] ?? "");
  assertStrictEquals(new Date(time).toISOString(), time);
  assertEquals(rest, {
    level: "error",
    message: "no\n",
    address: "a b",
    backlog: 5,
    ok: false,
  });
});

Deno.test("events below the level are left out", () => {
  for (const [index, level] of LEVELS.entries()) {
    const { log, lines } = memoryLog("json", level);
    LEVELS.forEach((each) => log[each]("event"));
    assertEquals(lines.map((text) => JSON.parse(text).level), LEVELS.slice(index));
  }
});

Deno.test("a failed system call has no stack to show, a bug has", () => {
  assertStrictEquals(stackOf(new SystemError("bind", 98)), undefined);
  assertMatch(stackOf(new TypeError("bug")) ?? "", /TypeError: bug\n +at /);
  assertStrictEquals(stackOf("text"), undefined);
});

Deno.test("for the journal, a line has the priority, and no time of its own", () => {
  const lines: string[] = [];
  const log = createLog(
    { format: "text", level: "debug", journal: true },
    (text) => lines.push(text),
  );
  for (const level of LEVELS) log[level]("holding", { address: ":80", why: "a\nb" });
  assertEquals(
    lines,
    [7, 6, 4, 3].map((priority) => `<${priority}>holding address=:80 why="a\\nb"\n`),
  );
});

Deno.test("standard error is the journal only if it is the stream that systemd made", () => {
  const before = Deno.env.get("JOURNAL_STREAM") ?? "";
  for (const text of ["", "9:1", "nonsense"]) {
    Deno.env.set("JOURNAL_STREAM", text);
    assertStrictEquals(isJournal(), false);
  }
  Deno.env.set("JOURNAL_STREAM", before);
});
