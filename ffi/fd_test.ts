import {
  assert,
  assertEquals,
  assertMatch,
  assertNotStrictEquals,
  assertObjectMatch,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { leavesNoDescriptors, openFile } from "../tests/support/descriptors.ts";
import { Fd } from "./fd.ts";
import { createMemfd } from "./memfd.ts";

const CLOSED = /used after it was closed/;

Deno.test("a closed descriptor's number is never given out again", () => {
  const fd = createMemfd("test");
  assertStrictEquals(fd.closed, false);
  fd.close();
  assertStrictEquals(fd.closed, true);
  assertThrows(() => fd.number, Error, CLOSED);
  assertThrows(() => fd.duplicate(), Error, CLOSED);
  assertThrows(() => fd.closeOnExec, Error, CLOSED);
  assertThrows(() => fd.closeOnExec = true, Error, CLOSED);
});

Deno.test("closing twice leaves the next owner of the number alone", () => {
  using source = createMemfd("test");
  const first = source.duplicate(500);
  const number = first.number;
  first.close();
  using second = source.duplicate(number);
  assertStrictEquals(second.number, number);
  first.close();
  first[Symbol.dispose]();
  assertMatch(openFile(second), /memfd:test/);
});

Deno.test("a released descriptor stays open", () => {
  const fd = createMemfd("test");
  const number = fd.number;
  assertStrictEquals(fd.release(), number);
  assertStrictEquals(fd.release(), -1);
  fd.close();
  using again = new Fd(number);
  assertMatch(openFile(again), /memfd:test/);
});

Deno.test("using closes at the end of the block, after an error too", async () => {
  await leavesNoDescriptors(() => {
    assertThrows(
      () => {
        using _fd = createMemfd("test");
        throw new Error("expected");
      },
      Error,
      /expected/,
    );
  });
});

Deno.test("a duplicate is the same file under its own number, close-on-exec", () => {
  using fd = createMemfd("test");
  fd.closeOnExec = false;
  using low = fd.duplicate();
  using high = fd.duplicate(500);
  assertNotStrictEquals(low.number, fd.number);
  assert(high.number >= 500);
  assertStrictEquals(openFile(high), openFile(fd));
  assertStrictEquals(low.closeOnExec, true);
  assertStrictEquals(high.closeOnExec, true);
  fd.close();
  assertMatch(openFile(low), /memfd:test/);
});

Deno.test("close-on-exec can be set and cleared", () => {
  using fd = createMemfd("test");
  assertStrictEquals(fd.closeOnExec, true);
  fd.closeOnExec = false;
  assertStrictEquals(fd.closeOnExec, false);
  fd.closeOnExec = true;
  assertStrictEquals(fd.closeOnExec, true);
});

Deno.test("a number that is not open fails with EBADF", () => {
  using fd = createMemfd("test");
  const stale = new Fd(fd.number);
  fd.close();
  assertObjectMatch(assertThrows(() => stale.duplicate(), Error), {
    code: "EBADF",
    syscall: "fcntl",
  });
  assertObjectMatch(assertThrows(() => stale.closeOnExec, Error), { code: "EBADF" });
});

Deno.test("an inherited descriptor is not passed on", () => {
  using fd = createMemfd("test");
  fd.closeOnExec = false;
  const number = fd.release();
  using inherited = Fd.inherited(number);
  assertEquals([inherited.number, inherited.closeOnExec], [number, true]);
});
