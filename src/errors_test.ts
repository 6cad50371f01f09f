import assert from "node:assert/strict";
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
  assert.equal(messageOf("text"), "text");
  assert.equal(messageOf(undefined), "undefined");
});
