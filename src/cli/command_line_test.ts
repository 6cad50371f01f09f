import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { UserError } from "../errors.ts";
import { parseCommandLine } from "./command_line.ts";
import type { Options } from "./option.ts";
import { defineSubcommand, type Subcommand } from "./subcommand.ts";
import { duration } from "./values.ts";

const VARIABLE = "MULTIBINDER_TEST_PLACE";

const OPTIONS = {
  time: { placeholder: "TIME", about: "a time", read: duration, default: "2s" },
  also: { placeholder: "WORD", about: "a word", repeatable: true },
  place: { placeholder: "PATH", about: "a place", environment: VARIABLE },
  loud: { about: "shout" },
} as const satisfies Options;

const ARGUMENT = { name: "WORD", about: "a word" };

const any = defineSubcommand({
  name: "try",
  about: "try things",
  argument: { ...ARGUMENT, count: "any" },
  options: OPTIONS,
  run: () => 0,
});

type Parsed = Record<string, unknown> & { words: readonly string[] };

/** What is parsed, without the options that all commands have. */
async function parse(args: string[], subcommand: Subcommand = any): Promise<Parsed> {
  const line = await parseCommandLine(subcommand, args);
  assert(typeof line === "object", `help is shown for ${args.join(" ")}`);
  const { "log-format": format, "log-level": level, help, ...options } = line.options;
  assertEquals([format, level, help], ["text", "info", false]);
  return { ...options, words: line.words };
}

async function refused(args: string[], why: RegExp, subcommand: Subcommand = any): Promise<void> {
  const error = await assertRejects(() => parseCommandLine(subcommand, args), UserError);
  assertMatch(error.message, why, args.join(" "));
  assertEquals(error.exitCode, 2);
  assert(error.message.endsWith("(multibinder try -h shows the options)"), error.message);
}

const nothing = { time: 2000, also: [], place: undefined, loud: false, words: [] };

Deno.test("options come with their values, joined or not, in any order; the rest are words", async () => {
  assertEquals(await parse([]), nothing);
  const args = ["--time", "5m", "a", "--also", "x", "--also=y=z", "-", "--loud", "080", "1e3"];
  const words = ["a", "-", "080", "1e3"];
  assertEquals(await parse(args), {
    ...{ time: 300_000, also: ["x", "y=z"], place: undefined, loud: true },
    words,
  });
  assertEquals(await parse(["--", "--time", "-x", "--", ""]), {
    ...nothing,
    words: ["--time", "-x", "--", ""],
  });
  for (const value of ["-", "-5", "-x", "true", "1e3", "a b", "--tiem"]) {
    assertEquals((await parse(["--place", value])).place, value);
    assertEquals((await parse([`--place=${value}`])).place, value);
  }
});

Deno.test("what the environment says counts when the option is not there, unless it is empty", async () => {
  try {
    Deno.env.set(VARIABLE, "/there");
    assertEquals((await parse([])).place, "/there");
    assertEquals((await parse(["--place", "/here"])).place, "/here");
    Deno.env.set(VARIABLE, "");
    assertEquals((await parse([])).place, undefined);
  } finally {
    Deno.env.delete(VARIABLE);
  }
});

Deno.test("a command for containers takes each option from the environment too", async () => {
  const options = { ...OPTIONS, dance: { about: "do nothing else", instead: true } } as const;
  const contained = defineSubcommand({ ...any, options, environment: true });
  const variables = {
    ...{ MULTIBINDER_TIME: "5m", MULTIBINDER_ALSO: " x\ty=z ", MULTIBINDER_LOUD: "1" },
    // What is done instead is for the command line alone.
    ...{ MULTIBINDER_DANCE: "1", MULTIBINDER_HELP: "1" },
  };
  const still = { ...nothing, dance: false };
  try {
    for (const [name, value] of Object.entries(variables)) Deno.env.set(name, value);
    const inherited = { ...still, time: 300_000, also: ["x", "y=z"], loud: true };
    assertEquals(await parse([], contained), inherited);
    const args = ["--time", "1s", "--also", "a", "--dance"];
    const given = { ...still, time: 1000, also: ["a"], loud: true, dance: true };
    assertEquals(await parse(args, contained), given);
    assertEquals(await parse([]), nothing, "a command that is not for containers");
    for (const [text, loud] of [["true", true], ["0", false], ["false", false], ["", false]]) {
      Deno.env.set("MULTIBINDER_LOUD", String(text));
      assertEquals((await parse([], contained)).loud, loud, String(text));
      assertEquals((await parse(["--loud"], contained)).loud, true, "the command line goes before");
      const setting = new Map([["loud", [{ text: "true", at: "x.toml:1" }]]]);
      const line = await parseCommandLine(contained, [], setting);
      assert(typeof line === "object");
      assertEquals(line.options.loud, text === "" || loud, "the environment goes before the file");
    }
    Deno.env.set("MULTIBINDER_LOUD", "yes");
    await refused([], /the environment's MULTIBINDER_LOUD, "yes": it must be 1 or 0/, contained);
    Deno.env.delete("MULTIBINDER_LOUD");
    Deno.env.set("MULTIBINDER_TIME", "soon");
    await refused(
      [],
      /the environment's MULTIBINDER_TIME, "soon": it must be a duration/,
      contained,
    );
  } finally {
    for (const name of Object.keys(variables)) Deno.env.delete(name);
  }
});

Deno.test("what is not in the table is refused, however it is written", async () => {
  const wrong = ["--a.b", "--time.x=1s", "--no-loud", "--__proto__", "--constructor", "--toString"];
  wrong.push("--_", "--_=x", "-_", "-x_");
  for (const word of [...wrong, "--=x", "---", "--time2", "--Time=1", "-t", "-x5", "-5", "-t=1"]) {
    await refused([word], /unknown option -/);
    await refused([word, "true"], /unknown option -/);
    await refused(["a", word, "--time", "1s"], /unknown option -/);
  }
  await refused(["--tiem", "5m"], /unknown option --tiem; did you mean --time\?/);
  await refused(["--hepl"], /unknown option --hepl; did you mean --help\?/);
  await refused(["--frobnicate"], /unknown option --frobnicate \(/);
});

Deno.test("a value is there, once, and of its kind", async () => {
  for (const args of [["--time"], ["--time="], ["--time", ""], ["--time", "--loud"]]) {
    await refused(args, /--time lacks its TIME/);
  }
  await refused(["--time", "--", "5s"], /--time lacks its TIME/);
  await refused(["--time", "--help=x"], /--time lacks its TIME|--help takes no value/);
  await refused(["--help=x"], /--help takes no value/);
  for (const value of ["soon", "-5", "true"]) {
    await refused(["--time", value], new RegExp(`--time "${value}": it must be a duration`));
  }
  await refused(["--time", "1s", "--time=1s"], /--time is given more than once/);
  await refused(["--loud", "--loud"], /--loud is given more than once/);
  for (const word of ["--loud=x", "--loud=true", "--loud=false"]) {
    await refused([word], /--loud takes no value/);
  }
  await refused(["--log-level", "loud"], /one of debug, info, warn, error/);
  await refused(["--log-format=xml"], /one of text, json/);
});

Deno.test("as many words as the table says", async () => {
  const counted = (count: "one" | "some") =>
    defineSubcommand({ ...any, argument: { ...ARGUMENT, count } });
  const none = defineSubcommand({ ...any, argument: undefined });
  await refused(["a"], /"a" is one argument too many/, none);
  await refused(["--loud", "true"], /"true" is one argument too many/, none);
  await refused([""], /"" is one argument too many/, none);
  for (const count of ["one", "some"] as const) {
    await refused([], /WORD is missing/, counted(count));
  }
  await refused(["a", "b"], /"b" is one argument too many/, counted("one"));
  assertEquals((await parse(["a", "b"], counted("some"))).words, ["a", "b"]);
  const argument = { ...ARGUMENT, count: "one", choices: ["a", "b"] } as const;
  const chosen = defineSubcommand({ ...any, argument });
  assertEquals((await parse(["b"], chosen)).words, ["b"]);
  await refused(["c"], /"c": WORD must be one of a, b/, chosen);
});

Deno.test("another program's command is passed through as it is", async () => {
  const runs = defineSubcommand({ ...any, argument: { ...ARGUMENT, count: "command" } });
  const command = ["cat", "--time", "-5", "--", "--loud", "", "-h", "--help"];
  for (const before of [[], ["--"]]) {
    const parsed = await parse(["--time", "1s", ...before, ...command], runs);
    assertEquals(parsed, { ...nothing, time: 1000, words: command });
  }
  assertEquals((await parse(["--", "--", "--loud"], runs)).words, ["--", "--loud"]);
  await refused(["--loud"], /WORD is missing/, runs);
  await refused(["--tiem", "5s", "cat"], /did you mean --time/, runs);
});

Deno.test("help is asked for by a word of its own, whatever else is wrong", async () => {
  for (const args of [["-h"], ["--help"], ["--nope", "-h"], ["--time", "--help"]]) {
    assertEquals(await parseCommandLine(any, args), "help");
  }
  assertEquals((await parse(["--also", "-h", "--", "--help"])).words, ["--help"]);
});

/** Checked by the compiler alone: `run` knows the names and the types of its options. */
export const typed = defineSubcommand({
  ...any,
  options: {
    ...OPTIONS,
    kind: { placeholder: "X", about: "x", choices: ["a", "b"], default: "a" },
  },
  run({ options }) {
    const right: {
      time: number;
      also: readonly string[];
      place: string | undefined;
      loud: boolean;
      kind: "a" | "b";
      "log-level": "debug" | "info" | "warn" | "error";
    } = options;
    // @ts-expect-error: a misspelt name
    const misspelt: unknown = options.tiem;
    // @ts-expect-error: it may not be given
    const place: string = options.place;
    // @ts-expect-error: a duration is a number
    const time: string = options.time;
    // @ts-expect-error: it has no such choice
    const isC = options.kind === "c";
    return [right, misspelt, place, time, isC].length;
  },
});
