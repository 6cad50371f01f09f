import { assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import "../../tests/support/libc.ts";
import { leavesNoDescriptors } from "../../tests/support/descriptors.ts";
import { createMemfd, writeText } from "../../ffi/memfd.ts";
import { Children } from "./children.ts";
import { UserError } from "../errors.ts";
import { becomeSuccessor, checkSuccessor, inheritedState, ownCommand } from "./successor.ts";
import { VERSION } from "../version.ts";

Deno.test("an ordinary start inherits no state", () => {
  assertStrictEquals(inheritedState(), undefined);
});

Deno.test("a state that an earlier program left is read once, and its descriptor closed", async () => {
  await leavesNoDescriptors(() => {
    const state = JSON.stringify({ text: "ü".repeat(200_000) });
    const memfd = createMemfd("state");
    writeText(memfd, state);
    Deno.env.set("MULTIBINDER_STATE_FD", String(memfd.release()));
    assertStrictEquals(inheritedState(), state);
    assertStrictEquals(Deno.env.has("MULTIBINDER_STATE_FD"), false);
    assertStrictEquals(inheritedState(), undefined);
  });
});

Deno.test("a program run from source can run itself again, but has no file to become", async () => {
  await leavesNoDescriptors(async () => {
    const [file, ...args] = ownCommand();
    const { stdout } = await new Deno.Command(file, { args: [...args, "--version"] }).output();
    assertStrictEquals(new TextDecoder().decode(stdout), `multibinder ${VERSION}\n`);

    using children = new Children();
    await assertRejects(
      () => checkSuccessor("{}", children),
      UserError,
      /needs the compiled binary/,
    );
    assertThrows(() => becomeSuccessor("{}", [], []), Error, /checkSuccessor comes first/);
  });
});
