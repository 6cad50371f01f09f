/** The table as a whole: whatever a command is, these hold. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { parseCommandLine } from "./command_line.ts";
import { allCommands, COMMANDS } from "./commands.ts";
import { fullHelp, programHelp, summary } from "./help.ts";
import type { Options } from "./option.ts";
import { COMMON_OPTIONS, variableOf } from "./subcommand.ts";

const table = await allCommands();

/** Of a terminal of 24 lines, all but that of the prompt. */
const SCREEN = { lines: 23, columns: 80 };

Deno.test("each command is listed by its own name", () => {
  assertEquals(table.map(({ name }) => name), [...COMMANDS.keys()]);
});

Deno.test("a summary fits on a screen, begins with examples, and has every option", () => {
  for (const subcommand of table) {
    const lines = summary(subcommand).trimEnd().split("\n");
    assert(lines.length <= SCREEN.lines, `${subcommand.name} -h has ${lines.length} lines`);
    for (const line of lines) assert(line.length <= SCREEN.columns, line);
    const text = lines.map((line) => line.trim()).join(" ");
    const all: Options = { ...subcommand.options, ...COMMON_OPTIONS };
    for (const name of Object.keys(all)) assertMatch(text, new RegExp(` --${name}[ ,;]`));
    const [example = ""] = subcommand.examples ?? [];
    assert(text.indexOf(example) < text.indexOf("Usage:"), subcommand.name);
  }
});

Deno.test("the whole help has every default, section and example, and reads on a terminal", () => {
  for (const subcommand of table) {
    const text = fullHelp(subcommand);
    const flat = text.replace(/\s+/g, " ");
    const all: Options = { ...subcommand.options, ...COMMON_OPTIONS };
    for (const [name, option] of Object.entries(all)) {
      assertMatch(flat, new RegExp(` --${name} `));
      const value = option.placeholder === undefined ? undefined : option.default;
      if (value !== undefined) assert(flat.includes(`${value})`), `${name}: ${value}`);
      const variable = variableOf(subcommand, name, option);
      if (variable !== undefined) assert(flat.includes(` ${variable}`), variable);
    }
    for (const example of subcommand.examples ?? []) assert(flat.includes(example), example);
    for (const [title, section] of Object.entries(subcommand.sections ?? {})) {
      const [first = ""] = section.replace(/^\n/, "").split("\n");
      assert(text.includes(`\n${title}:\n  ${first}\n`), first);
    }
    for (const line of text.split("\n")) assert(line.length <= 100, line);
  }
});

Deno.test("the program's help fits on a screen, begins with examples, and has every command", async () => {
  const text = programHelp(table);
  const lines = text.trimEnd().split("\n");
  assert(lines.length <= SCREEN.lines, text);
  for (const line of lines) assert(line.length <= SCREEN.columns, line);
  for (const { name } of table) assertMatch(text, new RegExp(`^  ${name} `, "m"));
  const examples = [...text.matchAll(/^ +multibinder (\S+) (.*?) &$/gm)];
  assert(examples.length > 0 && text.indexOf(examples[0]?.[0] ?? "") < text.indexOf("Usage:"));
  for (const [example, name, args = ""] of examples) {
    const subcommand = table.find((one) => one.name === name);
    assert(subcommand, example);
    await parseCommandLine(subcommand, args.split(" "));
  }
});

Deno.test("every default is one that the option takes, and every example is understood", async () => {
  for (const subcommand of table) {
    const own = (subcommand.examples ?? []).filter((text) => text.startsWith("multibinder "));
    assert(own.length > 0, `${subcommand.name} has no example`);
    for (const example of own) {
      const [, name, ...args] = example.split(" ");
      assertEquals(name, subcommand.name);
      assertEquals(typeof await parseCommandLine(subcommand, args), "object", example);
    }
  }
});
