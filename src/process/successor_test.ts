import assert from "node:assert/strict";
import "../../tests/support/libc.ts";
import { leavesNoDescriptors } from "../../tests/support/descriptors.ts";
import { createMemfd, writeText } from "../../ffi/memfd.ts";
import { Children } from "./children.ts";
import { UserError } from "../errors.ts";
import { becomeSuccessor, checkSuccessor, inheritedState, ownCommand } from "./successor.ts";
import { VERSION } from "../version.ts";

Deno.test("an ordinary start inherits no state", () => {
  assert.equal(inheritedState(), undefined);
});

Deno.test("a state that an earlier program left is read once, and its descriptor closed", async () => {
  await leavesNoDescriptors(() => {
    const state = JSON.stringify({ text: "ü".repeat(200_000) });
    const memfd = createMemfd("state");
    writeText(memfd, state);
    Deno.env.set("MULTIBINDER_STATE_FD", String(memfd.release()));
    assert.equal(inheritedState(), state);
    assert.equal(Deno.env.has("MULTIBINDER_STATE_FD"), false);
    assert.equal(inheritedState(), undefined);
  });
});

Deno.test("a program run from source can run itself again, but has no file to become", async () => {
  await leavesNoDescriptors(async () => {
    const [file, ...args] = ownCommand();
    const { stdout } = await new Deno.Command(file, { args: [...args, "--version"] }).output();
    assert.equal(new TextDecoder().decode(stdout), `multibinder ${VERSION}\n`);

    using children = new Children();
    await assert.rejects(
      checkSuccessor("{}", children),
      (error) => error instanceof UserError && /needs the compiled binary/.test(error.message),
    );
    assert.throws(() => becomeSuccessor("{}", [], []), /checkSuccessor comes first/);
  });
});
