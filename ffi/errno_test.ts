import {
  assert,
  assertMatch,
  assertObjectMatch,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
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
  assertObjectMatch(assertThrows(() => connectUnix(path), SystemError), {
    message: "connect: No such file or directory (ENOENT)",
    syscall: "connect",
    code: "ENOENT",
    errno: 2,
  });
  using bound = createSocket(AF_UNIX, SOCK_STREAM);
  bindSocket(bound, { family: "unix", path });
  assertObjectMatch(assertThrows(() => connectUnix(path), Error), {
    message: "connect: Connection refused (ECONNREFUSED)",
    syscall: "connect",
    code: "ECONNREFUSED",
  });
});

Deno.test("an errno without a name keeps its number", () => {
  const error = new SystemError("read", 4095);
  assertStrictEquals(error.code, "errno 4095");
  assertMatch(error.message, /^read: .*4095/);
});

Deno.test("errno is that of the last failed call", () => {
  libc().close(-1);
  assertStrictEquals(errno(), EBADF);
});

Deno.test("a call is made again while a signal interrupts it", () => {
  assertStrictEquals(check("read", failing(EINTR, EINTR)), 7);
  assertStrictEquals(checkNonBlocking("read", failing(EINTR)), 7);
  assertObjectMatch(assertThrows(() => check("read", failing(EINTR, EBADF)), Error), {
    code: "EBADF",
  });
});

Deno.test("would-block is an answer on a non-blocking descriptor, an error on another", () => {
  assertStrictEquals(checkNonBlocking("read", failing(EAGAIN)), undefined);
  assertStrictEquals(checkNonBlocking("read", failing(EINTR, EAGAIN)), undefined);
  assertObjectMatch(assertThrows(() => checkNonBlocking("read", failing(EBADF)), Error), {
    code: "EBADF",
  });
  assertObjectMatch(assertThrows(() => check("read", failing(EAGAIN)), Error), { code: "EAGAIN" });
});

Deno.test("a return value that is an errno becomes an error", () => {
  checkReturned("posix_spawn", 0);
  assertObjectMatch(assertThrows(() => checkReturned("posix_spawn", 12), Error), {
    code: "ENOMEM",
    syscall: "posix_spawn",
  });
});
