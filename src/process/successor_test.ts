import {
  assertEquals,
  assertMatch,
  assertObjectMatch,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import "../../tests/support/libc.ts";
import { leavesNoDescriptors } from "../../tests/support/descriptors.ts";
import { Fd } from "../../ffi/fd.ts";
import { createMemfd, createSealedMemfd, writeText } from "../../ffi/memfd.ts";
import { openFile } from "../../ffi/file.ts";
import { Children } from "./children.ts";
import { UserError } from "../errors.ts";
import type { CommonState } from "./state.ts";
import { becomeSuccessor, checkSuccessor, inheritedState, ownCommand } from "./successor.ts";
import { VERSION } from "../version.ts";

/** A state of no role, as far as all have it in common. */
const STATE: CommonState & { text: string } = {
  version: 1,
  pid: Deno.pid,
  clients: [],
  upgrades: 1,
  started: 0,
  from: "0.1.0",
  text: "ü".repeat(200_000),
};

const parse = (json: string): typeof STATE => JSON.parse(json);

/** What is inherited from a memfd whose number the environment has; the memfd is closed in any case. */
function inherit(memfd: Fd, variable = String(memfd.number)) {
  Deno.env.set("MULTIBINDER_STATE_FD", variable);
  const { number } = memfd;
  try {
    const state = inheritedState(parse);
    assertObjectMatch(
      assertThrows(() => new Fd(number).closeOnExec, Error),
      { code: "EBADF" },
      "it is closed",
    );
    return state;
  } catch (error) {
    assertStrictEquals(Deno.env.has("MULTIBINDER_STATE_FD"), false);
    memfd.close();
    throw error;
  }
}

Deno.test("an ordinary start inherits no state", () => {
  assertStrictEquals(inheritedState(parse), undefined);
});

Deno.test("a state that an earlier program left is read once, and its descriptor closed", async () => {
  await leavesNoDescriptors(() => {
    const sealed = createSealedMemfd("multibinder-state", JSON.stringify(STATE));
    assertEquals(inherit(sealed), STATE);
    assertStrictEquals(Deno.env.has("MULTIBINDER_STATE_FD"), false);
    assertStrictEquals(inheritedState(parse), undefined);

    const { pid: _, ...older } = STATE;
    const open = createMemfd("multibinder-state");
    writeText(open, JSON.stringify(older));
    assertEquals(inherit(open, `${open.number}:1024`), older, "before states were sealed");
  });
});

Deno.test("a state is believed from a memfd of ours for this process alone", async () => {
  const json = JSON.stringify(STATE);
  const sealed = (state: object) => createSealedMemfd("multibinder-state", JSON.stringify(state));
  const { pid: _, ...anonymous } = STATE;
  using own = createMemfd("own");
  const doubtful: [memfd: () => Fd, why: RegExp][] = [
    [() => createSealedMemfd("another", json), /is not the memfd of an upgrade/],
    [() => writtenTo(createMemfd("multibinder-state"), json), /its memfd is not sealed/],
    [() => sealed(anonymous), /does not name its process/],
    [() => sealed({ ...STATE, pid: 1 }), /it is the state of process 1, and this is \d+/],
    [
      () => sealed({ ...STATE, control: { fd: 999_999 } }),
      /control\.fd is 999999, which was not passed on/,
    ],
    [
      // It is close-on-exec, as everything that the runtime has opened by itself.
      () => sealed({ ...STATE, control: { fd: own.number } }),
      /control\.fd is \d+, which was not passed on/,
    ],
    [() => openFile("/dev/null"), /is no memfd/],
  ];
  await leavesNoDescriptors(() => {
    for (const [memfd, why] of doubtful) {
      const error = assertThrows(() => inherit(memfd()), UserError);
      assertMatch(
        error.message,
        /^the environment has MULTIBINDER_STATE_FD="\d+", which is not/,
      );
      assertMatch(error.message, why);
    }
  });
  for (const variable of ["", "garbage", "-1", "3x", "1e1", "99999999999", "3:4:5", "3:"]) {
    Deno.env.set("MULTIBINDER_STATE_FD", variable);
    assertThrows(() => inheritedState(parse), Error, /it is set by an upgrade in place alone/);
  }
});

function writtenTo(memfd: Fd, text: string): Fd {
  writeText(memfd, text);
  return memfd;
}

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
