/** What a user writes, damaged in every way: it is read, or refused as a mistake of the user's, in no time. */

import { assert } from "@std/assert";
import fc from "fast-check";
import "../../tests/support/libc.ts";
import { CASES } from "../../tests/support/fuzz.ts";
import { tempDir } from "../../tests/support/temp_dir.ts";
import { UserError } from "../errors.ts";
import { parseEnvironment } from "../wrapper/environment_file.ts";
import { readConfig } from "./bind_config.ts";
import { parseCommandLine } from "./command_line.ts";
import { allCommands, COMMANDS } from "./commands.ts";
import { complete } from "./complete.ts";

const OPTIONS = {
  mode: { placeholder: "BITS", about: "" },
  backlog: { placeholder: "N", about: "" },
  allow: { placeholder: "PATTERN", about: "", repeatable: true },
  loud: { about: "" },
} as const;

const word = fc.oneof(
  fc.constantFrom(...["addresses", "allow", "mode", "backlog", "loud", "__proto__", "A", "", "'"]),
  fc.constantFrom(...["=", '"', "[", "]", "{", "}", "\\", "\n", "\0", "#", ";", "'''", '"""', ","]),
  fc.constantFrom(...[
    ":80",
    '":80"',
    "true",
    "nan",
    "1e999",
    "0o660",
    "1979-05-27",
    "\u202e",
    "-",
  ]),
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.nat().map(String),
);

/** Some words, a few of them very often. */
const text = fc.array(
  fc.tuple(
    word,
    fc.oneof({ weight: 9, arbitrary: fc.constant(1) }, {
      weight: 1,
      arbitrary: fc.integer({ min: 100, max: 3000 }),
    }),
  ),
  { maxLength: 30 },
).map((words) => words.map(([one, times]) => one.repeat(times)).join(""));

const commands = await allCommands();

const argument = fc.oneof(
  fc.constantFrom(...COMMANDS.keys(), "help", "--", "-", "-h", "--help", "--_", "-_", "--=", ""),
  fc.constantFrom("--sock", "--sock=", "--listen", "http=:80", "--allow", "--take", "auto", ":80"),
  fc.constantFrom("--log-level", "--json", "--no-json", "--__proto__", "--x.y=1", "--drain", "5m"),
  fc.string({ maxLength: 8 }),
);

Deno.test("whatever the words of a command line are", async () => {
  const held = () => Promise.resolve([":80"]);
  await fc.assert(
    fc.asyncProperty(fc.array(argument, { maxLength: 7 }), async (words) => {
      await complete(words, COMMANDS, held);
      for (const command of commands) {
        const error = await parseCommandLine(command, words).catch((error) => error);
        assert(!(error instanceof Error) || error instanceof UserError, String(error));
      }
    }),
    { numRuns: Math.ceil(CASES / 10) },
  );
});

Deno.test("whatever a config of the binder holds", async () => {
  using folder = tempDir();
  const path = folder.file("binder.toml");
  await fc.assert(
    fc.asyncProperty(text, async (toml) => {
      Deno.writeTextFileSync(path, toml);
      try {
        const { addresses, settings } = await readConfig(path, OPTIONS);
        for (const { text, at } of [...addresses, ...[...settings.values()].flat()]) {
          assert(text !== "" && at.startsWith(`${path}:`));
        }
      } catch (error) {
        assert(error instanceof UserError, String(error));
      }
    }),
    { numRuns: Math.ceil(CASES / 10) },
  );
});

Deno.test("whatever a file of variables holds", () => {
  fc.assert(
    fc.property(text, (lines) => {
      try {
        for (const [name, value] of Object.entries(parseEnvironment(lines, "f"))) {
          assert(/^\w+$/.test(name) && !value.includes("\0"));
        }
      } catch (error) {
        assert(error instanceof UserError, String(error));
      }
    }),
    { numRuns: CASES },
  );
});
