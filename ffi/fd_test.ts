import assert from "node:assert/strict";
import { leavesNoDescriptors, openFile } from "../tests/support/descriptors.ts";
import { Fd } from "./fd.ts";
import { createMemfd } from "./memfd.ts";

const CLOSED = /used after it was closed/;

Deno.test("a closed descriptor's number is never given out again", () => {
  const fd = createMemfd("test");
  assert.equal(fd.closed, false);
  fd.close();
  assert.equal(fd.closed, true);
  assert.throws(() => fd.number, CLOSED);
  assert.throws(() => fd.duplicate(), CLOSED);
  assert.throws(() => fd.closeOnExec, CLOSED);
  assert.throws(() => fd.closeOnExec = true, CLOSED);
});

Deno.test("closing twice leaves the next owner of the number alone", () => {
  using source = createMemfd("test");
  const first = source.duplicate(500);
  const number = first.number;
  first.close();
  using second = source.duplicate(number);
  assert.equal(second.number, number);
  first.close();
  first[Symbol.dispose]();
  assert.match(openFile(second), /memfd:test/);
});

Deno.test("a released descriptor stays open", () => {
  const fd = createMemfd("test");
  const number = fd.number;
  assert.equal(fd.release(), number);
  assert.equal(fd.release(), -1);
  fd.close();
  using again = new Fd(number);
  assert.match(openFile(again), /memfd:test/);
});

Deno.test("using closes at the end of the block, after an error too", async () => {
  await leavesNoDescriptors(() => {
    assert.throws(() => {
      using _fd = createMemfd("test");
      throw new Error("expected");
    }, /expected/);
  });
});

Deno.test("a duplicate is the same file under its own number, close-on-exec", () => {
  using fd = createMemfd("test");
  fd.closeOnExec = false;
  using low = fd.duplicate();
  using high = fd.duplicate(500);
  assert.notEqual(low.number, fd.number);
  assert(high.number >= 500);
  assert.equal(openFile(high), openFile(fd));
  assert.equal(low.closeOnExec, true);
  assert.equal(high.closeOnExec, true);
  fd.close();
  assert.match(openFile(low), /memfd:test/);
});

Deno.test("close-on-exec can be set and cleared", () => {
  using fd = createMemfd("test");
  assert.equal(fd.closeOnExec, true);
  fd.closeOnExec = false;
  assert.equal(fd.closeOnExec, false);
  fd.closeOnExec = true;
  assert.equal(fd.closeOnExec, true);
});

Deno.test("a number that is not open fails with EBADF", () => {
  using fd = createMemfd("test");
  const stale = new Fd(fd.number);
  fd.close();
  assert.throws(() => stale.duplicate(), { code: "EBADF", syscall: "fcntl" });
  assert.throws(() => stale.closeOnExec, { code: "EBADF" });
});

Deno.test("an inherited descriptor is not passed on", () => {
  using fd = createMemfd("test");
  fd.closeOnExec = false;
  const number = fd.release();
  using inherited = Fd.inherited(number);
  assert.deepEqual([inherited.number, inherited.closeOnExec], [number, true]);
});
