import { assertObjectMatch, assertStrictEquals, assertThrows } from "@std/assert";
import "../tests/support/libc.ts";
import { tempDir } from "../tests/support/temp_dir.ts";
import { createFile, openFile, openPlace, tryLock } from "./file.ts";

Deno.test("a place is held whatever becomes of its name, and whatever it is", () => {
  using dir = tempDir();
  const path = dir.file("fifo");
  new Deno.Command("mkfifo", { args: [path] }).outputSync();
  using place = openPlace(path);
  Deno.renameSync(path, dir.file("other"));
  const { ino } = Deno.lstatSync(dir.file("other"));
  assertStrictEquals(Deno.statSync(`/proc/self/fd/${place.number}`).ino, ino);
  assertObjectMatch(assertThrows(() => openPlace(path), Error), {
    code: "ENOENT",
    syscall: "open",
  });
});

Deno.test("a file is made for its owner alone, and never where a link leads", () => {
  using dir = tempDir();
  using _file = createFile(dir.file("file"));
  assertStrictEquals((Deno.lstatSync(dir.file("file")).mode ?? 0) & 0o777, 0o600);
  assertObjectMatch(assertThrows(() => createFile(dir.file("file")), Error), { code: "EEXIST" });
  Deno.symlinkSync(dir.file("nothing"), dir.file("link"));
  assertObjectMatch(assertThrows(() => createFile(dir.file("link")), Error), { code: "EEXIST" });
});

Deno.test("a lock is one holder's, until the file is closed", () => {
  using dir = tempDir();
  const first = createFile(dir.file("file"));
  using second = openFile(dir.file("file"));
  assertStrictEquals(tryLock(first), true);
  assertStrictEquals(tryLock(second), false);
  first.close();
  assertStrictEquals(tryLock(second), true);
});
