import { assertNotStrictEquals, assertStrictEquals } from "@std/assert";
import { constants } from "node:os";
import { errno } from "./errno.ts";

/** A libc of its own, in which nothing was called yet. */
const { libc }: typeof import("./libc.ts") = await import(`./libc.ts?${crypto.randomUUID()}`);

Deno.test({
  name: "a function gives the same before and after it is compiled, and so does errno",
  // The library stays open, by design.
  sanitizeResources: false,
  fn() {
    const uncompiled = libc().close;
    for (let call = 0; call < 500; call++) {
      assertStrictEquals(libc().close(-1), -1);
      assertStrictEquals(errno(), constants.errno.EBADF);
      assertStrictEquals(libc().fcntl(2 ** 31 - 1, 1, 0), -1);
      assertStrictEquals(errno(), constants.errno.EBADF);
      assertStrictEquals(libc().poll(new Uint8Array(8), 2n ** 31n, 0), -1);
      assertStrictEquals(errno(), constants.errno.EINVAL);
    }
    assertNotStrictEquals(libc().close, uncompiled);
  },
});

Deno.test({
  name: "a call on another thread gives the same before and after it is compiled",
  sanitizeResources: false,
  async fn() {
    for (let call = 0; call < 500; call++) {
      assertStrictEquals(await libc().poll_wait(new Uint8Array(8), 0n, 0), 0);
    }
  },
});
