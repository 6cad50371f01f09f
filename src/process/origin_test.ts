import { assertStrictEquals } from "@std/assert";
import { childrenOf, until } from "../../tests/support/process_status.ts";
import { startProgram } from "../../tests/support/program.ts";
import { ignoreUnless, UNPRIVILEGED } from "../../tests/support/users.ts";
import { descendsFrom, isExecutedBy } from "./origin.ts";

const OWN = Deno.uid() ?? -1;
const OTHER = OWN + 1;

Deno.test("the kernel knows who has executed a program", async () => {
  await using program = startProgram(["sleep", "1000"]);
  assertStrictEquals(isExecutedBy([OTHER, OWN], program.pid), true);
  assertStrictEquals(isExecutedBy([OTHER], program.pid), false);
  program.signal("SIGKILL");
  await program.exited;
  assertStrictEquals(isExecutedBy([OWN], program.pid), false, "it has ended");
});

Deno.test({
  name: "who starts a program through one that changes the user is not the one who executed it",
  ignore: ignoreUnless(Deno.uid() === 0, "to be another user needs root"),
  fn: async () => {
    const [first = "", ...rest] = [...UNPRIVILEGED, "sleep", "1000"];
    await using program = startProgram([first, ...rest]);
    await until(() => isExecutedBy([65534], program.pid));
    assertStrictEquals(isExecutedBy([0], program.pid), false);
  },
});

Deno.test("an ancestor is one as long as it lives", async () => {
  await using top = startProgram(["sh", "-c", "sh -c 'sleep 1000; true'; true"]);
  const grandchild = () => childrenOf(top.pid).flatMap(childrenOf)[0];
  await until(() => grandchild() !== undefined);
  const pid = grandchild() ?? 0;
  assertStrictEquals(descendsFrom(pid, top.pid), true);
  assertStrictEquals(descendsFrom(pid, Deno.pid), true);
  assertStrictEquals(descendsFrom(pid, pid), false);
  assertStrictEquals(descendsFrom(top.pid, pid), false);
  top.signal("SIGKILL");
  await until(() => !descendsFrom(pid, top.pid));
  assertStrictEquals(descendsFrom(0, Deno.pid), false);
});
