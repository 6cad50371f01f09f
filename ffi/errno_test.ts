import assert from "node:assert/strict";
import "../tests/support/libc.ts";
import { AF_UNIX, SOCK_STREAM } from "./constants.ts";
import { check, checkNonBlocking, checkReturned, errno, SystemError } from "./errno.ts";
import { libc } from "./libc.ts";
import { bindSocket, connectUnix, createSocket } from "./socket.ts";
import { tempDir } from "../tests/support/temp_dir.ts";

const EINTR = 4;
const EAGAIN = 11;
const EBADF = 9;

function setErrno(value: number): void {
  const pointer = libc().__errno_location();
  assert(pointer !== null);
  new Int32Array(Deno.UnsafePointerView.getArrayBuffer(pointer, 4))[0] = value;
}

/** A call that fails with each errno in turn, then returns 7. */
function failing(...values: number[]): () => number {
  return () => {
    const value = values.shift();
    if (value === undefined) return 7;
    setErrno(value);
    return -1;
  };
}

Deno.test("a failed call becomes an error with the call's name, errno and libc's words", () => {
  using dir = tempDir();
  const path = dir.file("nobody.sock");
  assert.throws(() => connectUnix(path), {
    name: "SystemError",
    message: "connect: No such file or directory (ENOENT)",
    syscall: "connect",
    code: "ENOENT",
    errno: 2,
  });
  using bound = createSocket(AF_UNIX, SOCK_STREAM);
  bindSocket(bound, { family: "unix", path });
  assert.throws(() => connectUnix(path), {
    message: "connect: Connection refused (ECONNREFUSED)",
    syscall: "connect",
    code: "ECONNREFUSED",
  });
});

Deno.test("an errno without a name keeps its number", () => {
  const error = new SystemError("read", 4095);
  assert.equal(error.code, "errno 4095");
  assert.match(error.message, /^read: .*4095/);
});

Deno.test("errno is that of the last failed call", () => {
  libc().close(-1);
  assert.equal(errno(), EBADF);
});

Deno.test("a call is made again while a signal interrupts it", () => {
  assert.equal(check("read", failing(EINTR, EINTR)), 7);
  assert.equal(checkNonBlocking("read", failing(EINTR)), 7);
  assert.throws(() => check("read", failing(EINTR, EBADF)), { code: "EBADF" });
});

Deno.test("would-block is an answer on a non-blocking descriptor, an error on another", () => {
  assert.equal(checkNonBlocking("read", failing(EAGAIN)), undefined);
  assert.equal(checkNonBlocking("read", failing(EINTR, EAGAIN)), undefined);
  assert.throws(() => checkNonBlocking("read", failing(EBADF)), { code: "EBADF" });
  assert.throws(() => check("read", failing(EAGAIN)), { code: "EAGAIN" });
});

Deno.test("a return value that is an errno becomes an error", () => {
  checkReturned("posix_spawn", 0);
  assert.throws(() => checkReturned("posix_spawn", 12), { code: "ENOMEM", syscall: "posix_spawn" });
});
