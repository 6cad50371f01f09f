import { assertMatch, assertStrictEquals } from "@std/assert";
import "../tests/support/libc.ts";
import { SystemError } from "../ffi/errno.ts";
import { EXIT, messageOf, UserError } from "./errors.ts";

Deno.test("a user error has an exit code and keeps its cause", () => {
  const cause = new Error("why");
  assertStrictEquals(new UserError("what").exitCode, EXIT.failure);
  const error = new UserError("what", { exitCode: EXIT.usage, cause });
  assertStrictEquals(error.exitCode, EXIT.usage);
  assertStrictEquals(error.cause, cause);
  assertStrictEquals(error.name, "UserError");
});

Deno.test("anything thrown has a sentence", () => {
  assertStrictEquals(messageOf(new TypeError("no")), "no");
  assertStrictEquals(messageOf(new SystemError("read", 5)), "read: Input/output error (EIO)");
  const EMFILE = 24;
  assertMatch(
    messageOf(new SystemError("accept4", EMFILE)),
    /^accept4: the limit of \d+ open files is reached; raise it with ulimit -n or LimitNOFILE= \(EMFILE\)$/,
  );
  assertStrictEquals(messageOf("text"), "text");
  assertStrictEquals(messageOf(undefined), "undefined");
});
