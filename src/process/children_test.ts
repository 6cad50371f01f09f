import { assertEquals, assertObjectMatch, assertStrictEquals, assertThrows } from "@std/assert";
import { POLLIN } from "../../ffi/constants.ts";
import { createMemfd, readText } from "../../ffi/memfd.ts";
import { Poller } from "../../ffi/poll.ts";
import { sendSignal } from "../../ffi/process.ts";
import { connectedPair } from "../../tests/support/connection.ts";
import { leavesNoDescriptors } from "../../tests/support/descriptors.ts";
import { settled } from "../../tests/support/poller.ts";
import { Children } from "./children.ts";

const poller = new Poller();
const env = { PATH: Deno.env.get("PATH") ?? "" };

/**
 * Runs `action` while a poller waits, as the roles do: a listener for signals alone does not keep a
 * program running.
 */
async function withChildren(action: (children: Children) => Promise<void>): Promise<void> {
  const [near, far] = connectedPair();
  const waiting = poller.wait(near, POLLIN);
  using children = new Children();
  try {
    await action(children);
  } finally {
    poller.cancel(near);
    await waiting;
    await settled(poller);
    near.close();
    far.close();
  }
}

Deno.test("each child's end is told to the one who waits for it", async () => {
  await withChildren(async (children) => {
    const codes = [0, 1, 3, 255];
    const started = codes.map((code) =>
      children.start({ argv: ["sh", "-c", `exit ${code}`], env })
    );
    assertStrictEquals(new Set(started.map(({ pid }) => pid)).size, codes.length);
    assertEquals(
      await Promise.all(started.map(({ exited }) => exited)),
      codes.map((code) => ({ code })),
    );
    for (const { pid } of started) {
      assertStrictEquals(sendSignal(pid, "SIGTERM"), false, "it is reaped");
    }
  });
});

Deno.test("a child that a signal ends says which", async () => {
  await withChildren(async (children) => {
    const { pid, exited } = children.start({ argv: ["sleep", "1000"], env });
    assertStrictEquals(sendSignal(pid, "SIGKILL"), true);
    assertEquals(await exited, { signal: 9 });
  });
});

Deno.test("a child gets its descriptors, and none is left here", async () => {
  await leavesNoDescriptors(() =>
    withChildren(async (children) => {
      using output = createMemfd("output");
      const argv = ["sh", "-c", "echo over three >&3"] as const;
      assertEquals(await children.start({ argv, env, fds: [output] }).exited, { code: 0 });
      assertStrictEquals(readText(output, 100), "over three\n");
    })
  );
});

Deno.test("a command that does not exist is a failed system call, and the next one starts", async () => {
  await withChildren(async (children) => {
    assertObjectMatch(
      assertThrows(() => children.start({ argv: ["/no/such/command"], env }), Error),
      { code: "ENOENT" },
    );
    assertEquals(await children.start({ argv: ["true"], env }).exited, { code: 0 });
  });
});
