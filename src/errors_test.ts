import assert from "node:assert/strict";
import "../tests/support/libc.ts";
import { SystemError } from "../ffi/errno.ts";
import { EXIT, messageOf, UserError } from "./errors.ts";

Deno.test("a user error has an exit code and keeps its cause", () => {
  const cause = new Error("why");
  assert.equal(new UserError("what").exitCode, EXIT.failure);
  const error = new UserError("what", { exitCode: EXIT.usage, cause });
  assert.equal(error.exitCode, EXIT.usage);
  assert.equal(error.cause, cause);
  assert.equal(error.name, "UserError");
});

Deno.test("anything thrown has a sentence", () => {
  assert.equal(messageOf(new TypeError("no")), "no");
  assert.equal(messageOf(new SystemError("read", 5)), "read: Input/output error (EIO)");
  const EMFILE = 24;
  assert.match(
    messageOf(new SystemError("accept4", EMFILE)),
    /^accept4: the limit of \d+ open files is reached; raise it with ulimit -n or LimitNOFILE= \(EMFILE\)$/,
  );
  assert.equal(messageOf("text"), "text");
  assert.equal(messageOf(undefined), "undefined");
});
