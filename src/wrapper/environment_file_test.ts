import { assertEquals, assertThrows } from "@std/assert";
import "../../tests/support/libc.ts";
import { tempDir } from "../../tests/support/temp_dir.ts";
import { UserError } from "../errors.ts";
import { parseEnvironment, readEnvironmentFile } from "./environment_file.ts";

Deno.test("an environment file is read as systemd reads it", () => {
  const text = `
# a comment
  ; another
COLOUR=green
 SPACED = a b 
EMPTY=
DOUBLE="a \\"b\\" \\\\ # c"
SINGLE='a "b" \\ c'
JOINED=one\\
two
MIXED=a"b c"'d e'\\"f
EQUALS=a=b
COLOUR=blue
`;
  assertEquals(parseEnvironment(text, "file"), {
    COLOUR: "blue",
    SPACED: "a b",
    EMPTY: "",
    DOUBLE: 'a "b" \\ # c',
    SINGLE: 'a "b" \\ c',
    JOINED: "onetwo",
    MIXED: 'ab cd e"f',
    EQUALS: "a=b",
  });
});

Deno.test("a line that is none is named", () => {
  const cases: [string, RegExp][] = [
    ["A=b\nexport C=d", /^file:2: a line is NAME=VALUE/],
    ["A", /^file:1: a line is NAME=VALUE/],
    ["1A=b", /^file:1: a line is NAME=VALUE/],
    ["=b", /^file:1: a line is NAME=VALUE/],
    ['A="b', /^file:1: the quotes of A's value do not end on this line/],
    ["A=b\nB='c", /^file:2: the quotes of B's value/],
  ];
  for (const [text, why] of cases) {
    const { message } = assertThrows(() => parseEnvironment(text, "file"), UserError);
    assertEquals(why.test(message), true, message);
  }
});

Deno.test("a value that no variable can have is refused, with its line", () => {
  for (const value of ["a\0b", '"a\0"', "'\0'"]) {
    assertThrows(
      () => parseEnvironment(`A=1\nB=${value}`, "f"),
      UserError,
      "f:2: B's value has a NUL",
    );
  }
});

Deno.test("lines of backslashes are read in a moment, however long they are", () => {
  const many = "\\".repeat(400_000);
  assertThrows(() => parseEnvironment(`A=${many}"`, "f"), UserError, "do not end");
  assertEquals(parseEnvironment(`A=${many}x`, "f")["A"]?.length, 200_001);
});

Deno.test("a file that is absent is an error, unless a - says that it may be", () => {
  using folder = tempDir();
  const path = folder.file("site.env");
  assertThrows(
    () => readEnvironmentFile(path),
    UserError,
    `cannot read the environment file ${path}: `,
  );
  assertEquals(readEnvironmentFile(`-${path}`), {});
  Deno.writeTextFileSync(path, "A=b\n");
  assertEquals(readEnvironmentFile(`-${path}`), { A: "b" });
  assertEquals(readEnvironmentFile(path), { A: "b" });
});
