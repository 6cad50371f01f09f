import { assertEquals } from "@std/assert";
import { ignoreIfEmulated } from "../tests/support/emulated.ts";
import { listenAbstract } from "../tests/support/connection.ts";
import { leavesNoDescriptors } from "../tests/support/descriptors.ts";
import type { Fd } from "./fd.ts";
import { connectUnix, listenSocket } from "./socket.ts";
import { unixQueues } from "./unix_diag.ts";

const noNetlink = ignoreIfEmulated("it knows no sock_diag");

const inodeOf = (fd: Fd) => Deno.statSync(`/proc/self/fd/${fd.number}`).ino;

Deno.test(
  "the queue of each UNIX socket that listens is told, by its inode",
  noNetlink,
  async () => {
    await leavesNoDescriptors(() => {
      using open = new DisposableStack();
      // More than the kernel tells in one answer.
      const wanted = Array.from({ length: 1500 }, (_, index) => {
        const { fd, path } = listenAbstract();
        open.use(fd);
        const limit = 3 + index % 5;
        const length = index % 4;
        listenSocket(fd, limit);
        for (let left = length; left > 0; left--) open.use(connectUnix(path));
        return { inode: inodeOf(fd), length, limit };
      });
      const inodes = new Set(wanted.map(({ inode }) => inode));
      const found = [...unixQueues()].filter(({ inode }) => inodes.has(inode));
      const byInode = (a: { inode: number | null }, b: { inode: number | null }) =>
        (a.inode ?? 0) - (b.inode ?? 0);
      assertEquals(found.sort(byInode), wanted.sort(byInode));
      return Promise.resolve();
    });
  },
);

Deno.test("who stops reading leaves nothing open", noNetlink, async () => {
  await leavesNoDescriptors(() => {
    const { fd } = listenAbstract();
    using _listening = fd;
    for (const _ of unixQueues()) break;
    return Promise.resolve();
  });
});
