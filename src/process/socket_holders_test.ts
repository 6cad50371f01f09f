import { assert, assertEquals } from "@std/assert";
import "../../tests/support/libc.ts";
import { leavesNoDescriptors } from "../../tests/support/descriptors.ts";
import { until } from "../../tests/support/process_status.ts";
import { loopbackHost } from "../../tests/support/temp_dir.ts";
import { ignoreUnless } from "../../tests/support/users.ts";
import type { Fd } from "../../ffi/fd.ts";
import { reap } from "../../ffi/process.ts";
import { spawn } from "../../ffi/spawn.ts";
import { listen } from "../sockets/listen.ts";
import { findHolders, placeOf } from "./socket_holders.ts";

const isRoot = { ignore: ignoreUnless(Deno.uid() === 0, "to see every process needs root") };
const pause = () => undefined;
const open = () =>
  listen({ transport: "tcp", family: "inet", host: loopbackHost(), port: 0 }, 1).fd;
const inodeOf = (fd: Fd) => Deno.statSync(`/proc/self/fd/${fd.number}`).ino ?? 0;

/** A process that has sockets open; it is gone at the end of the scope. */
function hold(
  fds: readonly Fd[],
  argv: [string, ...string[]] = ["sleep", "1000"],
  env: Record<string, string> = {},
) {
  const pid = spawn({ argv, env: { ...Deno.env.toObject(), ...env }, fds });
  return {
    pid,
    async [Symbol.asyncDispose]() {
      Deno.kill(pid, "SIGKILL");
      await until(() => reap()?.pid === pid);
    },
  };
}

Deno.test(
  "the processes that have a socket open are found, and what they are",
  isRoot,
  async () => {
    await leavesNoDescriptors(async () => {
      using shared = open();
      using own = open();
      using nobodys = open();
      const marks = {
        MULTIBINDER_SERVICE: "/etc/site.cfg",
        MULTIBINDER_WRAPPER: "77",
        MULTIBINDER_GENERATION: "3",
      };
      await using first = hold([shared, own], ["sleep", "1000"], marks);
      await using second = hold([shared]);
      const inodes = [shared, own, nobodys].map(inodeOf);
      const skip = new Set([Deno.pid]);
      const search = (pids: number[]) =>
        findHolders(inodes, { first: pids, skip, pause, maxWork: Infinity });
      await until(async () => (await search([])).byInode.get(inodes[0] ?? 0)?.length === 2);
      for (const pids of [[], [second.pid], [Deno.pid, 0, 99_999_999]]) {
        const { byInode, complete } = await search(pids);
        assertEquals(complete, true);
        const found = inodes.map((inode) => byInode.get(inode)?.map(({ pid }) => pid).sort());
        assertEquals(found, [[first.pid, second.pid].sort(), [first.pid], undefined]);
      }
      const { byInode } = await search([]);
      const [holder] = byInode.get(inodes[1] ?? 0) ?? [];
      assertEquals([holder?.command, holder?.generation], [
        "sleep",
        { service: "/etc/site.cfg", wrapper: 77, number: 3 },
      ]);
      const other = byInode.get(inodes[0] ?? 0)?.find(({ pid }) => pid === second.pid);
      assertEquals(other?.generation, null);
    });
  },
);

Deno.test("a search that takes too long says that it has not seen everything", async () => {
  using socket = open();
  const { byInode, complete } = await findHolders([inodeOf(socket)], {
    first: [],
    skip: new Set([Deno.pid]),
    pause: () => new Promise((resolve) => setTimeout(resolve, 0)),
    maxWork: -1,
  });
  assertEquals([byInode.size, complete], [0, false]);
});

Deno.test("others have their turns during a search", async () => {
  using socket = open();
  let turns = 0;
  await findHolders([inodeOf(socket)], {
    first: [],
    skip: new Set(),
    pause: () => void turns++,
    maxWork: Infinity,
  });
  const descriptors = [...Deno.readDirSync("/proc/self/fd")].length;
  assert(
    turns >= descriptors,
    `${turns} turns were offered, for at least ${descriptors} descriptors`,
  );
});

Deno.test("a unit or a container is read from the control groups", () => {
  const id = "0123456789abcdef".repeat(4);
  const cases: [string, ReturnType<typeof placeOf>][] = [
    ["0::/\n", { unit: null, container: null }],
    ["", { unit: null, container: null }],
    ["0::/system.slice/site.service\n", { unit: "site.service", container: null }],
    ["0::/system.slice/system-site.slice/site@a.service/sub\n", {
      unit: "site@a.service",
      container: null,
    }],
    ["1:name=systemd:/system.slice/site.service\n0::/\n", {
      unit: "site.service",
      container: null,
    }],
    ["4:memory:/other.service\n0::/\n", { unit: null, container: null }],
    ["0::/user.slice/user-1.slice/user@1.service/app.slice/web.service\n", {
      unit: "web.service",
      container: null,
    }],
    [`0::/system.slice/docker-${id}.scope\n`, { unit: null, container: "0123456789ab" }],
    [`9:cpu:/docker/${id}\n`, { unit: null, container: "0123456789ab" }],
    [`0::/machine.slice/libpod-${id}.scope/container\n`, { unit: null, container: "0123456789ab" }],
    [`0::/kubepods.slice/cri-containerd-${id}.scope\n`, { unit: null, container: "0123456789ab" }],
  ];
  for (const [text, place] of cases) assertEquals(placeOf(text), place, text);
});
