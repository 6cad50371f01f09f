import { assertStrictEquals } from "@std/assert";
import "../tests/support/libc.ts";
import { tempDir } from "../tests/support/temp_dir.ts";
import { POLLIN } from "./constants.ts";
import { Inotify } from "./inotify.ts";
import { isReady } from "./poll.ts";

Deno.test("every way to change what is in a folder is told, and a look is not", () => {
  using folder = tempDir();
  using elsewhere = tempDir();
  using inotify = new Inotify();
  assertStrictEquals(inotify.add(folder.path), true);
  assertStrictEquals(inotify.add(folder.path), true);
  const file = folder.file("file");
  const steps: [change: () => void, isTold: boolean][] = [
    [() => Deno.writeTextFileSync(file, "one"), true],
    [() => Deno.writeTextFileSync(file, "two"), true],
    [() => Deno.readTextFileSync(file), false],
    [() => [...Deno.readDirSync(folder.path)], false],
    [() => Deno.symlinkSync("file", folder.file("link")), true],
    [() => Deno.renameSync(file, elsewhere.file("file")), true],
    [() => Deno.renameSync(elsewhere.file("file"), file), true],
    [() => Deno.removeSync(file), true],
    [() => Deno.writeTextFileSync(elsewhere.file("file"), ""), false],
    [() => Deno.removeSync(folder.path, { recursive: true }), true],
  ];
  for (const [change, isTold] of steps) {
    change();
    assertStrictEquals(isReady(inotify.fd, POLLIN), isTold, String(change));
    inotify.clear();
    assertStrictEquals(isReady(inotify.fd, POLLIN), false);
  }
  assertStrictEquals(inotify.add(folder.path), false, "it is gone");
  assertStrictEquals(inotify.add(elsewhere.file("file")), false, "it is no folder");
  Deno.mkdirSync(folder.path);
});
