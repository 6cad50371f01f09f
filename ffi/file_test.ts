import assert from "node:assert/strict";
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
  assert.equal(Deno.statSync(`/proc/self/fd/${place.number}`).ino, ino);
  assert.throws(() => openPlace(path), { code: "ENOENT", syscall: "open" });
});

Deno.test("a file is made for its owner alone, and never where a link leads", () => {
  using dir = tempDir();
  using _file = createFile(dir.file("file"));
  assert.equal((Deno.lstatSync(dir.file("file")).mode ?? 0) & 0o777, 0o600);
  assert.throws(() => createFile(dir.file("file")), { code: "EEXIST" });
  Deno.symlinkSync(dir.file("nothing"), dir.file("link"));
  assert.throws(() => createFile(dir.file("link")), { code: "EEXIST" });
});

Deno.test("a lock is one holder's, until the file is closed", () => {
  using dir = tempDir();
  const first = createFile(dir.file("file"));
  using second = openFile(dir.file("file"));
  assert.equal(tryLock(first), true);
  assert.equal(tryLock(second), false);
  first.close();
  assert.equal(tryLock(second), true);
});
