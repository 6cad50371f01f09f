/**
 * What a server does with the sockets that it was given, as /proc tells (proc(5)): which of them its processes have
 * open, and at which of them they wait for connections with an epoll set.
 * @module
 */

import { inodeIn } from "../proc.ts";

/** What some processes do with sockets, by the numbers of their inodes. */
export interface SocketUse {
  /** The sockets that a process has open. */
  open: ReadonlySet<number>;
  /** Those that a process has in an epoll set: it takes connections, or is just about to. */
  polled: ReadonlySet<number>;
}

/**
 * Looks at a process and its descendants.
 * @returns undefined when one of them may not be looked at
 */
export function socketUse(pid: number): SocketUse | undefined {
  const open = new Set<number>();
  const polled = new Set<number>();
  try {
    for (const one of [pid, ...descendantsOf(pid)]) {
      for (const [number, link] of descriptorsOf(one)) {
        open.add(inodeIn(link) ?? -1);
        if (link !== "anon_inode:[eventpoll]") continue;
        for (const [, inode = ""] of textOf(`/proc/${one}/fdinfo/${number}`).matchAll(ENTRY)) {
          polled.add(parseInt(inode, 16));
        }
      }
    }
    return { open, polled };
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) return undefined;
    throw error;
  }
}

/** An entry of an epoll set in fdinfo, with its inode in hexadecimal. */
const ENTRY = /^tfd:.* ino:([0-9a-f]+)/gm;

/**
 * The pids of a process's descendants. Those that may not be looked at are missing; where the kernel was built
 * without CONFIG_PROC_CHILDREN, all are.
 */
export function descendantsOf(pid: number): number[] {
  try {
    const tasks = namesIn(`/proc/${pid}/task`);
    const children = tasks.flatMap((task) =>
      textOf(`/proc/${pid}/task/${task}/children`).split(" ").filter((text) => text !== "")
    ).map(Number);
    return children.flatMap((child) => [child, ...descendantsOf(child)]);
  } catch {
    return [];
  }
}

function descriptorsOf(pid: number): [string, string][] {
  return namesIn(`/proc/${pid}/fd`).map((name) => {
    return [name, unlessGone("", () => Deno.readLinkSync(`/proc/${pid}/fd/${name}`))];
  });
}

function namesIn(folder: string): string[] {
  return unlessGone([], () => [...Deno.readDirSync(folder)].map(({ name }) => name));
}

function textOf(path: string): string {
  return unlessGone("", () => Deno.readTextFileSync(path));
}

/** What `look` gives; or `instead`, where a process ends or closes while it is looked at. */
function unlessGone<T>(instead: T, look: () => T): T {
  try {
    return look();
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) throw error;
    return instead;
  }
}
