import {
  assertEquals,
  assertNotStrictEquals,
  assertObjectMatch,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { AF_UNIX, SOCK_DGRAM, SOCK_STREAM } from "../../ffi/constants.ts";
import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { withUmask } from "../../ffi/process.ts";
import { bindSocket, connectUnix, createSocket, listenSocket } from "../../ffi/socket.ts";
import { asStranger } from "../../tests/support/file_user.ts";
import { justBefore } from "../../tests/support/intruder.ts";
import "../../tests/support/libc.ts";
import { type TempDir, tempDir } from "../../tests/support/temp_dir.ts";
import { fileId, removeIfSame } from "./place.ts";
import { listenAtPath } from "./unix_path.ts";

const newSocket = () => createSocket(AF_UNIX, SOCK_STREAM);

/** A socket that listens on a path. */
function listenAt(path: string): Fd {
  const fd = newSocket();
  listenAtPath(fd, path, 1);
  return fd;
}

/** Leaves a socket's file behind, of a program that ended long ago. */
function leaveStale(path: string): void {
  listenAt(path).close();
  Deno.utimeSync(path, 0, 0);
  assertObjectMatch(assertThrows(() => connectUnix(path), Error), { code: "ECONNREFUSED" });
}

function permissions(path: string): number {
  return (Deno.lstatSync(path).mode ?? 0) & 0o777;
}

/** Asserts that a path is refused as taken. */
function refuses(path: string): void {
  using fd = newSocket();
  assertObjectMatch(assertThrows(() => listenAtPath(fd, path, 1), SystemError), {
    code: "EADDRINUSE",
  });
}

Deno.test("a free path is bound, and its file is known again", () => {
  using dir = tempDir();
  using fd = newSocket();
  const path = dir.file("a.sock");
  assertEquals(listenAtPath(fd, path, 1), fileId(path));
  connectUnix(path).close();
});

Deno.test("a stale socket is replaced, and nothing else is left in the folder", () => {
  using dir = tempDir();
  // As long as a path can be: no longer one may be bound or connected to meanwhile.
  const path = dir.file("x".repeat(106 - dir.path.length));
  leaveStale(path);
  using _fd = listenAt(path);
  connectUnix(path).close();
  assertStrictEquals([...Deno.readDirSync(dir.path)].length, 1);
});

Deno.test("a live socket is kept", () => {
  using dir = tempDir();
  const path = dir.file("a.sock");
  using _live = listenAt(path);
  const before = fileId(path);
  refuses(path);
  assertEquals(fileId(path), before);
  connectUnix(path).close();
});

Deno.test("a live socket with a full accept queue is kept", () => {
  using dir = tempDir();
  const path = dir.file("a.sock");
  using _live = listenAt(path);
  const waiting: Fd[] = [];
  assertObjectMatch(
    assertThrows(() => {
      for (;;) waiting.push(connectUnix(path));
    }, Error),
    { code: "EAGAIN" },
  );
  refuses(path);
  waiting.forEach((fd) => fd.close());
});

Deno.test("a file, a folder, a symbolic link and a fifo are kept", () => {
  using dir = tempDir();
  const path = dir.file("taken");
  const stale = dir.file("stale");
  leaveStale(stale);
  const kinds = [
    () => Deno.writeTextFileSync(path, "precious"),
    () => Deno.mkdirSync(path),
    () => Deno.symlinkSync("nowhere", path),
    () => Deno.symlinkSync(stale, path),
    () => Deno.symlinkSync(path, path),
    () => new Deno.Command("mkfifo", { args: [path] }).outputSync(),
  ];
  for (const make of kinds) {
    make();
    const before = fileId(path);
    assertNotStrictEquals(before, undefined);
    refuses(path);
    assertEquals(fileId(path), before);
    Deno.removeSync(path);
  }
  assertNotStrictEquals(fileId(stale), undefined);
});

Deno.test("a live socket that takes the stale one's place while we look is kept", () => {
  using dir = tempDir();
  const path = dir.file("a.sock");
  leaveStale(path);
  using live = newSocket();
  using _other = justBefore("renameSync", () => {
    Deno.removeSync(path);
    bindSocket(live, { family: "unix", path });
    listenSocket(live, 1);
  });
  refuses(path);
  connectUnix(path).close();
  assertEquals([...Deno.readDirSync(dir.path)].map(({ name }) => name), ["a.sock"]);
});

Deno.test("a program that has its turn is waited for by none, and its stale lock by none", () => {
  using dir = tempDir();
  const path = dir.file("a.sock");
  leaveStale(path);
  const stale = fileId(path);
  {
    // A folder that somebody else locks is no obstacle.
    using folder = Deno.openSync(dir.path);
    folder.lockSync(true);
    using turn = Deno.openSync(`${path}.lock`, { create: true, write: true, mode: 0o600 });
    turn.lockSync(true);
    using fd = newSocket();
    assertObjectMatch(assertThrows(() => listenAtPath(fd, path, 1), Error), {
      code: "EAGAIN",
      syscall: "flock",
    });
    assertEquals(fileId(path), stale, "who has the turn may be about to listen");
    turn.unlockSync();
    using _fd = listenAt(path);
    connectUnix(path).close();
  }
  const names = [...Deno.readDirSync(dir.path)].map(({ name }) => name).sort();
  assertEquals(names, ["a.sock", "a.sock.lock"], "only a file of one's own making is removed");
});

Deno.test("what is no lock is left, and no obstacle", () => {
  using dir = tempDir();
  const [path, lock, precious] = [
    dir.file("a.sock"),
    dir.file("a.sock.lock"),
    dir.file("precious"),
  ];
  using locked = new DisposableStack();
  const lockFile = (mode: number, owner: number | null) => {
    const file = locked.use(Deno.openSync(lock, { createNew: true, write: true, mode }));
    Deno.chownSync(lock, owner, null);
    file.lockSync(true);
  };
  const kinds = [
    // Others can open it, and hold a lock on it for ever.
    () => lockFile(0o644, null),
    ...Deno.uid() === 0 ? [() => lockFile(0o600, 65534)] : [],
    // Another program's, which holds it for ever, by a second name.
    () => {
      const other = dir.file("other");
      locked.use(Deno.openSync(other, { create: true, write: true, mode: 0o600 })).lockSync(true);
      Deno.linkSync(other, lock);
    },
    () => {
      lockFile(0o600, null);
      Deno.writeTextFileSync(lock, "another program's");
    },
    () => Deno.mkdirSync(lock),
    () => Deno.symlinkSync(precious, lock),
    () => new Deno.Command("mkfifo", { args: [lock] }).outputSync(),
  ];
  for (const make of kinds) {
    make();
    const before = fileId(lock);
    using _fd = listenAt(path);
    assertEquals(fileId(lock), before);
    assertStrictEquals(fileId(precious), undefined, "nothing is made where a link leads");
    Deno.removeSync(lock);
    Deno.removeSync(path);
  }
});

Deno.test("a socket that cannot listen leaves no file", () => {
  using dir = tempDir();
  using fd = createSocket(AF_UNIX, SOCK_DGRAM);
  assertObjectMatch(assertThrows(() => listenAtPath(fd, dir.file("a.sock"), 1), Error), {
    syscall: "listen",
  });
  assertEquals([...Deno.readDirSync(dir.path)], []);
});

Deno.test("a stale socket that goes away while we look is no obstacle", () => {
  using dir = tempDir();
  const path = dir.file("a.sock");
  leaveStale(path);
  using _other = justBefore("renameSync", () => Deno.removeSync(path));
  using _fd = listenAt(path);
  connectUnix(path).close();
});

Deno.test("a stale socket in a folder that we may not write to is left", () => {
  using dir = tempDir();
  const path = dir.file("a.sock");
  leaveStale(path);
  Deno.chmodSync(path, 0o777);
  Deno.chmodSync(dir.path, 0o555);
  asStranger(() => refuses(path));
  assertNotStrictEquals(fileId(path), undefined);
  Deno.chmodSync(dir.path, 0o755);
});

Deno.test("a socket's file is never more open than asked", () => {
  using dir = tempDir();
  for (const mode of [0o000, 0o600, 0o660, 0o666, 0o755, 0o777]) {
    for (const umask of [0o000, 0o022, 0o777]) {
      const path = dir.file(`${mode}-${umask}`);
      using fd = newSocket();
      withUmask(umask, () => {
        listenAtPath(fd, path, 1, { mode });
        assertStrictEquals(Deno.umask(), umask, "the process's own mask is put back");
      });
      assertStrictEquals(permissions(path), mode);
    }
  }
});

Deno.test("without a mode the process's mask decides, for a replaced socket too", () => {
  using dir = tempDir();
  const path = dir.file("a.sock");
  leaveStale(path);
  using fd = newSocket();
  withUmask(0o027, () => listenAtPath(fd, path, 1));
  assertStrictEquals(permissions(path), 0o750);
});

Deno.test("the mask is put back when the path cannot be bound", () => {
  using dir = tempDir();
  using fd = newSocket();
  const before = Deno.umask();
  assertObjectMatch(
    assertThrows(() => listenAtPath(fd, dir.file("missing/a.sock"), 1, { mode: 0o600 }), Error),
    { code: "ENOENT" },
  );
  assertStrictEquals(Deno.umask(), before);
});

Deno.test("a file is removed while it is the same, and left alone once it is another", () => {
  using dir = tempDir();
  const path = dir.file("a.sock");
  using mine = newSocket();
  const id = listenAtPath(mine, path, 1);
  Deno.removeSync(path);
  using theirs = newSocket();
  const other = listenAtPath(theirs, path, 1);
  removeIfSame(path, id);
  assertEquals(fileId(path), other);
  removeIfSame(path, other);
  assertStrictEquals(fileId(path), undefined);
  removeIfSame(path, other);
});

/** A folder with a stale socket, and another with a file of the same name, which takes its place when told. */
function swappable(above: TempDir): { path: string; precious: string; swap: () => void } {
  const [folder, other] = [above.file("folder"), above.file("other")];
  for (const path of [folder, other]) Deno.mkdirSync(path);
  Deno.writeTextFileSync(`${other}/a.sock`, "precious");
  const swap = () => {
    Deno.renameSync(folder, above.file("aside"));
    Deno.symlinkSync(other, folder);
  };
  return { path: `${folder}/a.sock`, precious: `${other}/a.sock`, swap };
}

Deno.test("a file elsewhere is left alone when somebody swaps the folders while a socket is replaced", () => {
  for (const call of ["renameSync", "lstatSync", "removeSync"] as const) {
    using above = tempDir();
    const { path, precious, swap } = swappable(above);
    leaveStale(path);
    using fd = newSocket();
    using _swap = justBefore(call, swap);
    assertThrows(() => listenAtPath(fd, path, 1));
    assertStrictEquals(Deno.readTextFileSync(precious), "precious", call);
  }
});

Deno.test("a file elsewhere is left alone when somebody swaps the folders while a socket is removed", () => {
  for (const call of ["lstatSync", "removeSync"] as const) {
    using above = tempDir();
    const { path, precious, swap } = swappable(above);
    using fd = newSocket();
    const file = listenAtPath(fd, path, 1);
    using _swap = justBefore(call, swap);
    removeIfSame(path, file);
    assertStrictEquals(Deno.readTextFileSync(precious), "precious", call);
  }
});

Deno.test("a lock is removed from the folder that it was made in, whatever has its name by then", () => {
  using above = tempDir();
  const { path, precious, swap } = swappable(above);
  Deno.writeTextFileSync(`${precious}.lock`, "", { mode: 0o600 });
  using fd = newSocket();
  using _swap = justBefore("removeSync", swap);
  listenAtPath(fd, path, 1);
  const names = [...Deno.readDirSync(above.path)].filter(({ isDirectory }) => isDirectory)
    .flatMap(({ name }) => [...Deno.readDirSync(above.file(name))].map((one) => one.name)).sort();
  assertEquals(names, ["a.sock", "a.sock", "a.sock.lock"], "the one that was there before");
});
