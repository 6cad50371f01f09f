import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import type { Fd } from "../../ffi/fd.ts";
import { openFile } from "../../ffi/file.ts";
import { libc } from "../../ffi/libc.ts";
import "../../tests/support/libc.ts";
import { tempDir } from "../../tests/support/temp_dir.ts";
import { takeTurn } from "./turn.ts";

const LOCK_EX_NB = 2 | 4;

Deno.test("turns at a path follow each other, and leave no file", () => {
  using folder = tempDir();
  const path = folder.file("sock");
  for (let turn = 0; turn < 2; turn++) {
    {
      using _turn = takeTurn(path);
      assertThrows(() => takeTurn(path), Error, "EAGAIN");
    }
    assertEquals([...Deno.readDirSync(folder.path)], []);
  }
});

Deno.test("who has made the file waits for one who was quicker to lock it, and removes it", () => {
  using folder = tempDir();
  const path = folder.file("sock");
  const real = libc().flock;
  let calls = 0;
  let quicker: Fd | undefined;
  const define = (value: unknown) =>
    Object.defineProperty(libc(), "flock", { configurable: true, value });
  define((fd: number, operation: number) => {
    calls++;
    if (calls === 1) real((quicker = openFile(`${path}.lock`)).number, LOCK_EX_NB);
    if (calls === 3) quicker?.close();
    return real(fd, operation);
  });
  try {
    using _turn = takeTurn(path);
  } finally {
    define(real);
  }
  assertStrictEquals(calls, 3);
  assertEquals([...Deno.readDirSync(folder.path)], []);
});
