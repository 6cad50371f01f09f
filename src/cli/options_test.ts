import {
  assertEquals,
  assertMatch,
  assertObjectMatch,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { InvalidArgumentError } from "commander";
import { UserError } from "../errors.ts";
import {
  collect,
  createCommand,
  duration,
  fileMode,
  logOf,
  parse,
  sockFromEnvironment,
  wholeNumber,
} from "./options.ts";

/** A subcommand whose output is kept. */
function command() {
  const said: string[] = [];
  const seen: { args: unknown; options: Record<string, unknown> }[] = [];
  const made = createCommand("try", "Tries things.")
    .argument("[word...]", "words")
    .option("--time <time>", "a time", duration)
    .option("--also <word>", "repeatable", collect, [])
    .configureOutput({ writeOut: (text) => said.push(text), writeErr: (text) => said.push(text) })
    .action((args, options) => void seen.push({ args, options }));
  return { made, seen, said };
}

function refused(read: (text: string) => unknown, texts: readonly string[], why: RegExp): void {
  for (const text of texts) {
    assertThrows(() => read(text), InvalidArgumentError, why, `"${text}"`);
  }
}

Deno.test("durations have a unit, or are seconds", () => {
  const read = { "500ms": 500, "10s": 10_000, "5m": 300_000, "1h": 3_600_000, "7": 7000 };
  for (const [text, value] of Object.entries(read)) assertStrictEquals(duration(text), value);
  assertEquals(["1.5s", "0.5", "0", "0ms"].map(duration), [1500, 500, 0, 0]);
  assertStrictEquals(duration(`${2 ** 31 - 1}ms`), 2 ** 31 - 1, "the longest that a timer takes");
  const wrong = ["", "s", "-1s", "1 s", "1d", "1S", "1e3", "1.", ".5s", "0x10", " 1", "600h", "∞"];
  refused(duration, [...wrong, `${2 ** 31}ms`], /must be a duration such as 500ms/);
});

Deno.test("whole numbers have a least value", () => {
  assertEquals(["0", "7", "2147483647"].map(wholeNumber(0)), [0, 7, 2147483647]);
  const wrong = ["", "-1", "1.5", "1e3", "0x10", " 1", "x", "2147483648"];
  refused(wholeNumber(0), wrong, /whole number, at least 0/);
  refused(wholeNumber(2), ["1", "0"], /at least 2/);
});

Deno.test("permission bits are octal, with a leading zero or without", () => {
  assertEquals(["660", "0660", "000", "0777"].map(fileMode), [0o660, 0o660, 0, 0o777]);
  refused(fileMode, ["", "66", "0o660", "888", "1660", "00660", "rw-"], /in octal, such as 0660/);
});

Deno.test("the control socket's variable counts only with a value", () => {
  const before = Deno.env.get("MULTIBINDER_SOCK");
  try {
    Deno.env.delete("MULTIBINDER_SOCK");
    assertStrictEquals(sockFromEnvironment(), undefined);
    Deno.env.set("MULTIBINDER_SOCK", "");
    assertStrictEquals(sockFromEnvironment(), undefined);
    Deno.env.set("MULTIBINDER_SOCK", "/run/x");
    assertStrictEquals(sockFromEnvironment(), "/run/x");
  } finally {
    if (before === undefined) Deno.env.delete("MULTIBINDER_SOCK");
    else Deno.env.set("MULTIBINDER_SOCK", before);
  }
});

Deno.test("a command line runs its action", async () => {
  const { made, seen, said } = command();
  await parse(made, ["--time", "5m", "a", "--also", "x", "--also=y", "b", "--log-format=json"]);
  const options = { time: 300_000, also: ["x", "y"], logFormat: "json", logLevel: "info" };
  assertEquals(seen, [{ args: ["a", "b"], options }]);
  assertEquals(said, []);
  logOf({ logFormat: "json", logLevel: "error" }).info("nobody is told");
});

Deno.test("a wrong command line is explained once, and is a silent error with exit code 2", async () => {
  const wrong: [string[], RegExp][] = [
    [["--time", "soon"], /'--time <time>' argument 'soon' is invalid.*must be a duration/],
    [["--log-level", "loud"], /Allowed choices are debug, info, warn, error/],
    [["--log-format", "xml"], /Allowed choices are text, json/],
    [["--tiem", "5m"], /unknown option '--tiem'[^]*Did you mean --time/],
    [["--time"], /argument missing/],
  ];
  for (const [args, why] of wrong) {
    const { made, seen, said } = command();
    assertObjectMatch(await assertRejects(() => parse(made, args), UserError), {
      message: "",
      exitCode: 2,
    });
    assertMatch(said.join(""), why);
    assertMatch(said.join(""), /--help shows the options/);
    assertEquals(seen, []);
  }
});

Deno.test("help is shown, and nothing is run", async () => {
  for (const option of ["-h", "--help"]) {
    const { made, seen, said } = command();
    await parse(made, [option]);
    assertMatch(said.join(""), /^Usage: multibinder try .*\n\nTries things\.[^]*--log-format/);
    assertEquals(seen, []);
  }
});

Deno.test("an error of the action is passed on", async () => {
  const { made } = command();
  const error = new UserError("it went wrong");
  made.action(() => Promise.reject(error));
  assertStrictEquals(await assertRejects(() => parse(made, [])), error);
});
