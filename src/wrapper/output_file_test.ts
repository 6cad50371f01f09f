import { assert, assertEquals, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import "../../tests/support/libc.ts";
import { asUser } from "../../tests/support/file_user.ts";
import { type TempDir, tempDir } from "../../tests/support/temp_dir.ts";
import { ignoreUnless } from "../../tests/support/users.ts";
import { UserError } from "../errors.ts";
import { insistOnWritable, removeOutputFile, writeOutputFile } from "./output_file.ts";

const STRANGER = 65534;
const ignore = ignoreUnless(Deno.uid() === 0, "to be another user needs root");

function permissions(path: string): number {
  return (Deno.lstatSync(path).mode ?? 0) & 0o777;
}

function names(folder: TempDir): string[] {
  return [...Deno.readDirSync(folder.path)].map(({ name }) => name).sort();
}

/** A folder of a stranger's, or one in which everybody may make files, as /tmp. */
function openFolder(kind: "a stranger's" | "everybody's"): TempDir {
  const folder = tempDir();
  Deno.chmodSync(folder.path, kind === "everybody's" ? 0o1777 : 0o755);
  if (kind === "a stranger's") Deno.chownSync(folder.path, STRANGER, STRANGER);
  return folder;
}

Deno.test("a file like no other is readable to all", () => {
  using folder = tempDir();
  writeOutputFile(folder.file("x.pid"), "1\n");
  assertStrictEquals(permissions(folder.file("x.pid")), 0o644);
  writeOutputFile(folder.file("x.pid"), "2\n");
  assertStrictEquals(Deno.readTextFileSync(folder.file("x.pid")), "2\n");
});

Deno.test("a link that takes the new file's place gets no other file its mode or owner", () => {
  using folder = tempDir();
  const [secret, path] = [folder.file("secret"), folder.file("x.pid")];
  Deno.writeTextFileSync(secret, "secret", { mode: 0o600 });
  const owner = Deno.uid() === 0 ? 65534 : Deno.uid();
  let swapped = 0;
  const like: Deno.FileInfo = {
    ...Deno.statSync(secret),
    uid: owner,
    // Asked for when the file is there: now whoever owns the folder is quick.
    get mode() {
      for (const name of names(folder).filter((name) => name.startsWith("x.pid."))) {
        Deno.removeSync(folder.file(name));
        Deno.symlinkSync(secret, folder.file(name));
        swapped++;
      }
      return 0o666;
    },
  };
  writeOutputFile(path, "1\n", like);
  assertStrictEquals(swapped, 1);
  assertEquals([permissions(secret), Deno.statSync(secret).uid], [0o600, Deno.uid()]);
});

Deno.test({
  name: "in a folder of others, what a stranger has put there is replaced, and keeps nothing",
  ignore,
  fn: () => {
    for (const kind of ["a stranger's", "everybody's"] as const) {
      using folder = openFolder(kind);
      using elsewhere = tempDir();
      const secret = elsewhere.file("secret");
      Deno.writeTextFileSync(secret, "secret", { mode: 0o600 });
      const plants: Record<string, (path: string) => void> = {
        file: (path) => {
          Deno.writeTextFileSync(path, "his");
          Deno.chmodSync(path, 0o666);
        },
        link: (path) => Deno.symlinkSync(secret, path),
        "link to a device": (path) => Deno.symlinkSync("/dev/full", path),
        "link to nothing": (path) => Deno.symlinkSync(elsewhere.file("new"), path),
        pipe: (path) => new Deno.Command("mkfifo", { args: ["-m", "666", path] }).outputSync(),
        socket: (path) => {
          Deno.listen({ transport: "unix", path }).close();
        },
      };
      for (const [name, plant] of Object.entries(plants)) {
        const path = folder.file(name);
        if (name === "pipe" || name === "socket") {
          plant(path);
          if (exists(path)) Deno.chownSync(path, STRANGER, STRANGER);
        } else asUser(STRANGER, () => plant(path));
        writeOutputFile(path, "ours", { mode: 0o100600, uid: 0, gid: 0 });
        const { isFile, uid } = Deno.lstatSync(path);
        assertEquals({ isFile, uid, mode: permissions(path) }, {
          isFile: true,
          uid: 0,
          mode: 0o600,
        });
        assertStrictEquals(Deno.readTextFileSync(path), "ours");
      }
      assertStrictEquals(Deno.readTextFileSync(secret), "secret");
      assertEquals(names(elsewhere), ["secret"], "nothing was made behind the link to nothing");
      assertEquals(
        names(folder),
        Object.keys(plants).filter((name) => exists(folder.file(name))).sort(),
      );
    }
  },
});

Deno.test({
  name: "in a folder of others, our own link is followed, and our own file keeps its mode",
  ignore,
  fn: () => {
    using folder = openFolder("everybody's");
    using elsewhere = tempDir();
    const [behind, link, file] = [elsewhere.file("x"), folder.file("link"), folder.file("file")];
    Deno.writeTextFileSync(behind, "old");
    Deno.symlinkSync(behind, link);
    writeOutputFile(link, "new");
    assert(Deno.lstatSync(link).isSymlink);
    assertStrictEquals(Deno.readTextFileSync(behind), "new");
    Deno.writeTextFileSync(file, "old", { mode: 0o640 });
    writeOutputFile(file, "new", { mode: 0o600, uid: 0, gid: 0 });
    assertStrictEquals(permissions(file), 0o640);
    // Unless it has another name, by which it may be anything that root has.
    Deno.linkSync(file, folder.file("other name"));
    writeOutputFile(file, "newer", { mode: 0o600, uid: 0, gid: 0 });
    assertStrictEquals(permissions(file), 0o600);
    assertStrictEquals(Deno.readTextFileSync(folder.file("other name")), "new");
  },
});

Deno.test({
  name: "our own link does not lead on through a stranger's",
  ignore,
  fn: () => {
    using folder = openFolder("everybody's");
    using elsewhere = tempDir();
    const secret = elsewhere.file("secret");
    Deno.writeTextFileSync(secret, "secret");
    asUser(STRANGER, () => Deno.symlinkSync(secret, folder.file("his")));
    Deno.symlinkSync("his", folder.file("ours"));
    writeOutputFile(folder.file("ours"), "text");
    assertStrictEquals(Deno.readTextFileSync(secret), "secret");
    assertStrictEquals(Deno.readTextFileSync(folder.file("his")), "text");
    assert(Deno.lstatSync(folder.file("his")).isFile);
  },
});

Deno.test("links in a circle are an error", () => {
  using folder = tempDir();
  Deno.symlinkSync("b", folder.file("a"));
  Deno.symlinkSync("a", folder.file("b"));
  // The kernel sees no file behind them: one of ours takes the first one's place.
  writeOutputFile(folder.file("a"), "text");
  assertStrictEquals(Deno.readTextFileSync(folder.file("b")), "text");
});

Deno.test({
  name:
    "a file of ours in a folder that we cannot write to is overwritten, another's is refused by name",
  ignore,
  fn: () => {
    using folder = tempDir();
    Deno.chmodSync(folder.path, 0o755);
    const [own, others] = [folder.file("own"), folder.file("others")];
    for (const path of [own, others]) Deno.writeTextFileSync(path, "a longer old text");
    Deno.chmodSync(others, 0o666);
    Deno.chownSync(own, STRANGER, STRANGER);
    Deno.chownSync(others, 4711, 4711);
    asUser(STRANGER, () => {
      insistOnWritable(own, "the file");
      assertStrictEquals(Deno.readTextFileSync(own), "a longer old text");
      writeOutputFile(own, "new");
      assertThrows(() => writeOutputFile(others, "new"), Error, "to make a file in");
      const error = assertThrows(() => insistOnWritable(others, "the pid file"), UserError);
      const why = `Permission denied (EACCES) to make a file in ${folder.path}`;
      assertStrictEquals(error.message, `cannot write the pid file ${others}: ${why}`);
    });
    assertStrictEquals(Deno.readTextFileSync(own), "new");
    assertStrictEquals(Deno.readTextFileSync(others), "a longer old text");
  },
});

Deno.test({
  name: "a device is written to in a folder that nobody else may write to, and nowhere else",
  ignore,
  fn: () => {
    writeOutputFile("/dev/null", "text");
    assert(Deno.lstatSync("/dev/null").isCharDevice);
    insistOnWritable("/dev/null", "the pid file");
    using folder = openFolder("everybody's");
    new Deno.Command("mknod", { args: [folder.file("null"), "c", "1", "3"] }).outputSync();
    assert(Deno.lstatSync(folder.file("null")).isCharDevice);
    assertThrows(() => writeOutputFile(folder.file("null"), "text"), Error, "a device is there");
  },
});

Deno.test({
  name: "a pipe is written to if it is ours",
  ignore,
  fn: () => {
    using folder = openFolder("everybody's");
    const pipe = folder.file("pipe");
    new Deno.Command("mkfifo", { args: [pipe] }).outputSync();
    using ends = Deno.openSync(pipe, { read: true, write: true });
    writeOutputFile(pipe, "text", undefined, true);
    assertStrictEquals(ends.readSync(new Uint8Array(100)), 4);
    Deno.chownSync(pipe, STRANGER, STRANGER);
    const write = () => writeOutputFile(pipe, "text", undefined, true);
    assertThrows(write, Error, "another user's pipe is there");
  },
});

Deno.test("while the folder above changes, a file is written and removed where it was to be", () => {
  using above = tempDir();
  const [folder, aside, other] = [above.file("folder"), above.file("aside"), above.file("other")];
  for (const path of [folder, other]) Deno.mkdirSync(path);
  Deno.writeTextFileSync(`${other}/x.pid`, "1\n");
  const swap = () => {
    Deno.renameSync(folder, aside);
    Deno.symlinkSync(other, folder);
  };
  const like = { mode: null, uid: null, gid: null };
  const swapping = {
    ...like,
    get mode() {
      swap();
      return 0o600;
    },
  };
  writeOutputFile(`${folder}/x.pid`, "2\n", swapping);
  assertStrictEquals(Deno.readTextFileSync(`${other}/x.pid`), "1\n");
  assertStrictEquals(Deno.readTextFileSync(`${aside}/x.pid`), "2\n");
});

Deno.test("a file is removed if it holds the text, and nothing else is", () => {
  using folder = tempDir();
  const path = folder.file("x.pid");
  removeOutputFile(path, "1\n");
  for (const text of ["2\n", "1\n\n", ""]) {
    Deno.writeTextFileSync(path, text);
    removeOutputFile(path, "1\n");
    assertStrictEquals(Deno.readTextFileSync(path), text);
  }
  Deno.writeTextFileSync(path, "1\n");
  removeOutputFile(path, "1\n");
  assertEquals(names(folder), []);
  removeOutputFile("/dev/null", "");
  assertMatch(String(Deno.lstatSync("/dev/null").isCharDevice), /true/);
});

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

Deno.test({
  name: "a link of a stranger's on the way to the folder is not followed, root's own is",
  ignore,
  fn() {
    for (const kind of ["a stranger's", "everybody's"] as const) {
      for (const [linked, name] of [["", "run"], ["/deep", "run/deep"]]) {
        using folder = openFolder(kind);
        using target = tempDir();
        Deno.mkdirSync(target.file("deep"));
        const there = `${target.path}${linked}/x.pid`;
        Deno.writeTextFileSync(there, "root's", { mode: 0o600 });
        Deno.symlinkSync(target.path, folder.file("run"));
        const path = folder.file(`${name}/x.pid`);
        new Deno.Command("chown", { args: ["-h", `${STRANGER}`, folder.file("run")] }).outputSync();
        assertThrows(() => writeOutputFile(path, "1\n"), Error, "is a link of another user's");
        assertThrows(() => insistOnWritable(path, "the pid file"), UserError, "is a link of");
        removeOutputFile(path, "root's");
        assertStrictEquals(Deno.readTextFileSync(there), "root's");

        new Deno.Command("chown", { args: ["-h", "0", folder.file("run")] }).outputSync();
        writeOutputFile(path, "1\n");
        assertStrictEquals(Deno.readTextFileSync(there), "1\n");
      }
    }
  },
});

Deno.test("links of one's own are followed on the way, through each other and upwards", () => {
  using folder = tempDir();
  Deno.mkdirSync(folder.file("a/b"), { recursive: true });
  Deno.symlinkSync("a/./b/", folder.file("relative"));
  Deno.symlinkSync(folder.file("relative"), folder.file("absolute"));
  Deno.symlinkSync("round", folder.file("round"));
  const path = folder.file("absolute/..//b/x.pid");
  writeOutputFile(path, "1\n");
  assertStrictEquals(Deno.readTextFileSync(folder.file("a/b/x.pid")), "1\n");
  assertThrows(() => writeOutputFile(folder.file("round/x.pid"), "1\n"), Error, "too many links");
  assertThrows(() => writeOutputFile(folder.file("none/x.pid"), "1\n"), Error, "No such file");
});
