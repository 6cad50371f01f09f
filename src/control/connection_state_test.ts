import { assert, assertEquals, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { Fd } from "../../ffi/fd.ts";
import { connectionState, parseConnection } from "./connection_state.ts";
import type { HandedConnection } from "./clients.ts";

Deno.test("a connection is read back as it was written, through JSON", () => {
  const connection = fc.record({
    number: fc.nat(),
    pending: fc.uint8Array({ maxLength: 300 }),
    holds: fc.option(fc.array(fc.string()), { nil: undefined }),
    owed: fc.option(fc.oneof(fc.string(), fc.integer(), fc.constant(null)), { nil: undefined }),
  });
  fc.assert(fc.property(connection, ({ number, pending, holds, owed }) => {
    const handed: HandedConnection = {
      fd: new Fd(number),
      pending: new Uint8Array(pending),
      ...(holds && { holds }),
      ...(owed !== undefined && { owed }),
    };
    const { fd, ...rest } = parseConnection(JSON.parse(JSON.stringify(connectionState(handed))));
    assertStrictEquals(fd.number, number);
    const { fd: _, ...expected } = handed;
    assertEquals(rest, expected);
  }));
});

Deno.test("many pending bytes fit", () => {
  const pending = new Uint8Array(1024 * 1024).fill(0xff);
  const state = connectionState({ fd: new Fd(6), pending });
  assertMatch(state.pending, /^[A-Za-z0-9+/]*={0,2}$/);
  const parsed = parseConnection(state).pending;
  assert(parsed.length === pending.length && parsed.every((byte) => byte === 0xff));
});

Deno.test("what is not in base64 is refused", () => {
  assertThrows(() => parseConnection({ fd: 6, pending: "!" }));
});
