import { assertObjectMatch, assertThrows } from "@std/assert";
import "../tests/support/libc.ts";
import { SystemError } from "./errno.ts";
import { removeFromSet } from "./epoll.ts";
import { createMemfd } from "./memfd.ts";
import { createPipe } from "./pipe.ts";

Deno.test("what is no epoll set is told from one", () => {
  using file = createMemfd("none");
  const { reader, writer } = createPipe();
  using _reader = reader;
  using _writer = writer;
  assertObjectMatch(assertThrows(() => removeFromSet(file.number, reader.number), SystemError), {
    syscall: "epoll_ctl",
    code: "EINVAL",
  });
  assertObjectMatch(assertThrows(() => removeFromSet(999_999, reader.number), SystemError), {
    code: "EBADF",
  });
});
