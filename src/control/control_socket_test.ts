import { assertEquals, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import { connectUnix } from "../../ffi/socket.ts";
import { leavesNoDescriptors } from "../../tests/support/descriptors.ts";
import { asStranger } from "../../tests/support/file_user.ts";
import { justBefore } from "../../tests/support/intruder.ts";
import { tempDir } from "../../tests/support/temp_dir.ts";
import { UserError } from "../errors.ts";
import { fileId } from "../sockets/place.ts";
import { listenOn, type Owner, removeControlSocket } from "./control_socket.ts";

function permissions(path: string): number {
  return (Deno.lstatSync(path).mode ?? 0) & 0o777;
}

/** Asserts that listening fails with a sentence about `path`. */
function fails(path: string, reason: RegExp, owner?: Owner): void {
  const error = assertThrows(() => listenOn(path, 0o600, owner), UserError);
  assertMatch(error.message, reason);
}

Deno.test("a control socket is connected to, and gone with its file in the end", async () => {
  using dir = tempDir();
  const path = dir.file("control.sock");
  await leavesNoDescriptors(() => {
    const control = listenOn(path, 0o600);
    assertStrictEquals(control.path, path);
    assertEquals(control.file, fileId(path));
    assertStrictEquals(control.fd.closeOnExec, true);
    assertStrictEquals(permissions(path), 0o600);
    connectUnix(path).close();
    removeControlSocket(control);
    assertStrictEquals(fileId(path), undefined);
  });
});

Deno.test("a lock on its folder, which anyone who can read that may have, is no obstacle", () => {
  using dir = tempDir();
  using folder = Deno.openSync(dir.path);
  folder.lockSync(true);
  removeControlSocket(listenOn(dir.file("control.sock"), 0o600));
});

Deno.test("a control socket is shut until its owner and group are right", () => {
  using dir = tempDir();
  const path = dir.file("control.sock");
  const [uid, gid] = Deno.uid() === 0 ? [65534, 65534] : [Deno.uid() ?? 0, Deno.gid() ?? 0];
  for (const owner of [{ uid }, { gid }, { uid, gid }]) {
    let before: number | undefined;
    using _other = justBefore("chownSync", () => before = permissions(path));
    const control = listenOn(path, 0o660, owner);
    assertStrictEquals(before, 0);
    assertStrictEquals(permissions(path), 0o660);
    const info = Deno.lstatSync(path);
    const expected = { uid: Deno.uid(), gid: Deno.gid(), ...owner };
    assertEquals({ uid: info.uid, gid: info.gid }, expected);
    removeControlSocket(control);
  }
});

Deno.test("another file that takes the place of a control socket is not given away", () => {
  using dir = tempDir();
  const [path, precious, foreign] = [dir.file("a.sock"), dir.file("precious"), dir.file("b.sock")];
  Deno.writeTextFileSync(precious, "precious", { mode: 0o600 });
  const own = listenOn(foreign, 0o600);
  // Stale: nobody serves it.
  own.fd.close();
  const intrusions = [
    () => Deno.symlinkSync(precious, path),
    () => Deno.linkSync(precious, path),
    () => Deno.linkSync(foreign, path),
    () => {},
  ];
  const gid = Deno.gid() ?? 0;
  for (const intrude of intrusions) {
    // First the lock is looked at, then the socket that was bound.
    using _other = justBefore("lstatSync", () => {
      justBefore("lstatSync", () => {
        Deno.removeSync(path);
        intrude();
      });
    });
    fails(path, /somebody has put another file in its place/, { gid });
    for (const file of [precious, foreign]) assertStrictEquals(permissions(file), 0o600);
    if (fileId(path)) Deno.removeSync(path);
  }
});

Deno.test("a control socket that is not ours any more is left alone", () => {
  using dir = tempDir();
  const path = dir.file("control.sock");
  const mine = listenOn(path, 0o600);
  Deno.removeSync(path);
  const theirs = listenOn(path, 0o600);
  removeControlSocket(mine);
  connectUnix(path).close();
  removeControlSocket(theirs);
});

Deno.test("what keeps a control socket from being made is said", async () => {
  using dir = tempDir();
  const path = dir.file("control.sock");
  await leavesNoDescriptors(() => {
    fails(dir.file("missing/control.sock"), /missing\/control\.sock: its folder does not exist/);
    fails(`/${"x".repeat(107)}`, /the path has 108 bytes, and a UNIX socket's has at most 107/);

    const other = listenOn(path, 0o600);
    fails(
      path,
      new RegExp(`served by .+ \\(pid ${Deno.pid}\\) \\(EADDRINUSE\\); stop that one, or upg`),
    );
    removeControlSocket(other);

    Deno.writeTextFileSync(path, "precious");
    fails(path, /the file exists and is not a socket; it is left alone/);
    assertStrictEquals(Deno.readTextFileSync(path), "precious");
    Deno.removeSync(path);

    Deno.chmodSync(dir.path, 0o555);
    asStranger(() => fails(path, /no permission to create it there \(EACCES\)/));
    Deno.chmodSync(dir.path, 0o755);
  });
});

Deno.test("a control socket that cannot be given to its group is not left behind", () => {
  using dir = tempDir();
  const path = dir.file("control.sock");
  using _other = justBefore("chownSync", () => {
    throw new Deno.errors.PermissionDenied("Operation not permitted");
  });
  fails(path, /control\.sock: chown: Operation not permitted/, { gid: Deno.gid() ?? 0 });
  assertStrictEquals(fileId(path), undefined);
});
