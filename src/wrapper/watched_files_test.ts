import {
  assertEquals,
  assertNotStrictEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import "../../tests/support/libc.ts";
import { tempDir } from "../../tests/support/temp_dir.ts";
import { UserError } from "../errors.ts";
import { ABSENT, WatchedFiles } from "./watched_files.ts";

const write = Deno.writeTextFileSync;
const nobody = () => {};

Deno.test("what a file holds counts, and nothing else of it", async () => {
  using folder = tempDir();
  const path = folder.file("site.cfg");
  const files = new WatchedFiles([path, `${folder.path}/../${path.split("/").at(-2)}/site.cfg`]);
  assertEquals([...await files.look(nobody)], [[path, ABSENT]]);
  const look = async () => (await files.look(nobody)).get(path);
  write(path, "one");
  const one = await look();
  // Of the same length, and written in the same millisecond.
  write(path, "two");
  const two = await look();
  assertNotStrictEquals(two, one);
  Deno.utimeSync(path, 0, 0);
  Deno.chmodSync(path, 0o600);
  assertStrictEquals(await look(), two);
  // Its time says that it has not changed, the other one's neither.
  write(folder.file("new"), "one");
  Deno.utimeSync(folder.file("new"), 0, 0);
  Deno.renameSync(folder.file("new"), path);
  assertStrictEquals(await look(), one);
  Deno.removeSync(path);
  assertStrictEquals(await look(), ABSENT);
});

Deno.test("a folder is all that is below it, once, and without what others keep there", async () => {
  using folder = tempDir();
  Deno.mkdirSync(folder.file("conf.d/inner"), { recursive: true });
  Deno.symlinkSync("..", folder.file("conf.d/above"));
  Deno.symlinkSync("nowhere", folder.file("conf.d/broken"));
  for (const name of ["a.conf", ".a.conf.swp", "a.conf~", "inner/b.conf", "a.pid", "rendered"]) {
    write(folder.file(`conf.d/${name}`), "text");
  }
  const passedOver = ["a.pid", "rendered"].map((name) => folder.file(`conf.d/${name}`));
  const files = new WatchedFiles([folder.file("conf.d")], passedOver);
  const heeded: string[] = [];
  const found = await files.look((path) => heeded.push(path));
  const names = [...found.keys()].map((path) => path.slice(folder.path.length + 1));
  assertEquals(names, ["conf.d/a.conf", "conf.d/broken", "conf.d/inner/b.conf"]);
  assertStrictEquals(found.get(folder.file("conf.d/broken")), ABSENT);
  assertEquals(
    heeded.map((path) => path.slice(folder.path.length)),
    ["", "/conf.d", "/conf.d/above", "/conf.d/inner"],
  );
});

Deno.test("what Kubernetes puts in the place of a volume's files is one change", async () => {
  using folder = tempDir();
  const publish = (version: string, text: string) => {
    Deno.mkdirSync(folder.file(version));
    write(folder.file(`${version}/site.cfg`), text);
    Deno.symlinkSync(version, folder.file("..data_tmp"));
    Deno.renameSync(folder.file("..data_tmp"), folder.file("..data"));
  };
  publish("..2026_1", "one");
  Deno.symlinkSync("..data/site.cfg", folder.file("site.cfg"));
  const whole = new WatchedFiles([folder.path]);
  const before = await whole.look(nobody);
  assertEquals([...before.keys()], [folder.file("site.cfg")]);
  publish("..2026_2", "one");
  Deno.removeSync(folder.file("..2026_1"), { recursive: true });
  assertEquals(await whole.look(nobody), before);
  publish("..2026_3", "two");
  assertNotStrictEquals(
    (await whole.look(nobody)).get(folder.file("site.cfg")),
    before.get(folder.file("site.cfg")),
  );
});

Deno.test("a path that is not there, and one with too much below it, are refused", async () => {
  using folder = tempDir();
  await assertRejects(
    () => WatchedFiles.insist([folder.file("none")]),
    UserError,
    "there is no such file or folder",
  );
  await assertRejects(() => WatchedFiles.insist(["/proc"]), UserError, "files and folders or more");
  write(folder.file("some"), "");
  await WatchedFiles.insist([folder.file("some"), folder.path]);
});

Deno.test("folders whose links lead to each other have an end, whoever made them", async () => {
  using folder = tempDir();
  // Two ways from each to the next are 2 ** 40 in all, without a circle or a file.
  for (let depth = 0; depth < 40; depth++) {
    Deno.mkdirSync(folder.file(`d${depth}`));
    for (const name of ["one", "other"]) {
      Deno.symlinkSync(`../d${depth + 1}`, folder.file(`d${depth}/${name}`));
    }
  }
  const files = new WatchedFiles([folder.file("d0")]);
  await files.look(() => {});
  assertStrictEquals(files.isCut, true);
});

Deno.test("a pipe that takes a file's place while it is looked at holds up nobody", async () => {
  using folder = tempDir();
  const path = folder.file("site.cfg");
  write(path, "one");
  const { isFile } = Deno.statSync(path);
  const files = new WatchedFiles([path]);
  using _swap = { [Symbol.dispose]: swapAtRead(path) };
  const contents = await files.look(() => {});
  assertEquals([isFile, [...contents.keys()]], [true, [path]]);
});

/** Puts a pipe in the place of a file once it has been looked at. @returns what undoes the trick */
function swapAtRead(path: string): () => void {
  const { statSync } = Deno;
  Object.defineProperty(Deno, "statSync", {
    configurable: true,
    value: (one: string) => {
      const info = statSync(one);
      if (one === path) {
        Deno.removeSync(path);
        new Deno.Command("mkfifo", { args: [path] }).outputSync();
      }
      return info;
    },
  });
  const restore = () =>
    Object.defineProperty(Deno, "statSync", { configurable: true, value: statSync });
  return restore;
}
