import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import "../tests/support/libc.ts";
import { leavesNoDescriptors } from "../tests/support/descriptors.ts";
import { tempDir } from "../tests/support/temp_dir.ts";
import { isMissing, readInput, readInputText } from "./input_file.ts";

/** What may lie where a file is named, and would make its reader wait, or read without an end. */
const NO_FILES: [what: string, make: (path: string) => void, why: string][] = [
  ["a pipe without a writer", (path) => run("mkfifo", path), "it is a pipe, and not a file"],
  ["a link to a pipe", (path) => {
    run("mkfifo", `${path}.pipe`);
    Deno.symlinkSync(`${path}.pipe`, path);
  }, "it is a pipe, and not a file"],
  [
    "a device without an end",
    (path) => Deno.symlinkSync("/dev/zero", path),
    "it is a device, and not a file",
  ],
  [
    "a terminal",
    (path) => Deno.symlinkSync("/dev/ptmx", path),
    "it is a device, and not a file",
  ],
  ["a folder", (path) => Deno.mkdirSync(path), "it is a directory, and not a file"],
  [
    "a socket",
    (path) => run("python3", "-c", "import socket, sys; socket.socket(1).bind(sys.argv[1])", path),
    "it is a socket, and not a file",
  ],
  ["a sparse file", (path) => {
    Deno.writeTextFileSync(path, "");
    Deno.truncateSync(path, 2 ** 40);
  }, "it is longer than 16777216 bytes"],
  ["a link to itself", (path) => Deno.symlinkSync(path, path), "Too many levels of symbolic links"],
];

function run(program: string, ...args: string[]): void {
  assertStrictEquals(new Deno.Command(program, { args }).outputSync().code, 0);
}

for (const [what, make, why] of NO_FILES) {
  Deno.test(`${what} where a file is named is refused at once`, async () => {
    using folder = tempDir();
    const path = folder.file("named");
    make(path);
    await leavesNoDescriptors(() => {
      assertThrows(() => readInput(path), Error, why);
    });
  });
}

Deno.test("a file is read as it is, one of /proc as well, up to the limit", () => {
  using folder = tempDir();
  const path = folder.file("named");
  const bytes = crypto.getRandomValues(new Uint8Array(65_536)).slice(0, 65_536);
  Deno.writeFileSync(path, new Uint8Array([...bytes, ...bytes, 1]));
  assertEquals(readInput(path), new Uint8Array([...bytes, ...bytes, 1]));
  assertEquals(readInput(path, 131_073).length, 131_073);
  assertThrows(() => readInput(path, 131_072), Error, "it is longer than 131072 bytes");
  assertStrictEquals(readInputText("/proc/self/comm"), Deno.readTextFileSync("/proc/self/comm"));
  Deno.writeTextFileSync(path, "");
  assertStrictEquals(readInputText(path), "");
});

Deno.test("what is missing is told from what cannot be read", () => {
  const missing = assertThrows(() => readInput("/none/named"));
  assertStrictEquals(isMissing(missing), true);
  assertStrictEquals(isMissing(assertThrows(() => readInput("/"))), false);
});
