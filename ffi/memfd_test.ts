import { assertEquals, assertObjectMatch, assertStrictEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { ignoreIfEmulated } from "../tests/support/emulated.ts";
import { leavesNoDescriptors, openFile } from "../tests/support/descriptors.ts";
import { libc } from "./libc.ts";
import { openFile as openFileOf } from "./file.ts";
import {
  createMemfd,
  createSealedMemfd,
  readOutput,
  readText,
  sealingOf,
  writeText,
} from "./memfd.ts";

const tooSlow = ignoreIfEmulated("making up texts takes minutes");

Deno.test("text comes back as it was written, whatever the offset is", tooSlow, async () => {
  await leavesNoDescriptors(() =>
    fc.assert(fc.property(fc.array(fc.string({ unit: "binary" })), (texts) => {
      using fd = createMemfd("test");
      texts.forEach((text) => writeText(fd, text));
      const whole = texts.map((text) => text.toWellFormed()).join("");
      assertStrictEquals(readText(fd, 16 * 1024), whole);
      assertStrictEquals(readText(fd, 16 * 1024), whole);
    }))
  );
});

Deno.test("a byte order mark is text", () => {
  using fd = createMemfd("test");
  writeText(fd, "\ufefftext");
  assertStrictEquals(readText(fd, 100), "\ufefftext");
});

Deno.test("no more than the limit is read", () => {
  using fd = createMemfd("test");
  writeText(fd, "0123456789".repeat(50_000));
  assertStrictEquals(readText(fd, 12), "012345678901");
  assertStrictEquals(readText(fd, 1_000_000).length, 500_000);
  assertStrictEquals(readText(fd, 0), "");
});

Deno.test("what is not UTF-8 is refused", () => {
  using fd = createMemfd("test");
  libc().write(fd.number, new Uint8Array([0x61, 0xff]), 2n);
  assertThrows(() => readText(fd, 100), TypeError);
});

Deno.test("of a program's output what is not UTF-8, or cut off, is replaced", () => {
  using fd = createMemfd("test");
  libc().write(fd.number, new Uint8Array([0x61, 0xff, 0x62]), 3n);
  writeText(fd, "ü");
  assertStrictEquals(readOutput(fd, 100), "a\ufffdbü");
  assertStrictEquals(readOutput(fd, 4), "a\ufffdb\ufffd");
});

Deno.test("it is close-on-exec and carries its name", () => {
  using fd = createMemfd("state of the binder");
  assertStrictEquals(fd.closeOnExec, true);
  assertStrictEquals(openFile(fd), "/memfd:state of the binder (deleted)");
  assertObjectMatch(assertThrows(() => createMemfd("x".repeat(250)), Error), {
    code: "EINVAL",
    syscall: "memfd_create",
  });
});

Deno.test("a sealed one cannot be changed any more, and which kind one is can be told", () => {
  using sealed = createSealedMemfd("test", "text");
  assertStrictEquals(readText(sealed, 100), "text");
  assertObjectMatch(assertThrows(() => writeText(sealed, "more"), Error), { code: "EPERM" });
  using plain = createMemfd("test");
  using file = openFileOf("/dev/null");
  const kinds = [sealed, plain, file].map(({ number }) => sealingOf(number));
  assertEquals(kinds, ["sealed", "unsealable", undefined]);
  assertStrictEquals(sealingOf(999_999), undefined);
});
