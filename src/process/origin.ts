/**
 * How a process came to be, as the kernel has it (proc(5)): its environment anybody can make up.
 * @module
 */

/** Entries of the auxiliary vector (linux/auxvec.h): who executed the program, and whether it got rights by it. */
const AT_UID = 11n;
const AT_EUID = 12n;
const AT_SECURE = 23n;

/** Processes of a chain of parents that are looked at: more than any machine has. */
const MAX_DEPTH = 1000;

/**
 * Whether a process runs a program that one of these users has executed, and that got no rights by it which
 * they do not have, as a set-uid program does. What user it has become since does not matter. The kernel
 * notes this at each execve. A process can overwrite its own notes (prctl(2), PR_SET_MM), which is of no use
 * to it: a program that has more rights than whoever executed it begins with true ones.
 * @returns false for one that has ended, that this process may not look at, or of another user namespace
 */
export function isExecutedBy(users: readonly number[], pid: number): boolean {
  const entries = auxiliaryVector(pid);
  const isOne = (key: bigint) => users.includes(Number(entries.get(key) ?? -1n));
  return isOne(AT_UID) && isOne(AT_EUID) && entries.get(AT_SECURE) === 0n &&
    userNamespace(String(pid)) === userNamespace("self");
}

/** In one of their own anybody is root, and the kernel notes it so; empty for one that cannot be told. */
function userNamespace(process: string): string {
  try {
    return Deno.readLinkSync(`/proc/${process}/ns/user`);
  } catch {
    return "";
  }
}

/**
 * Whether a process has another for an ancestor. A process whose parent ends becomes another's child at that
 * moment, so this is no question of time: an ancestor lives, and is the one that it was.
 */
export function descendsFrom(pid: number, ancestor: number): boolean {
  let parent = parentOf(pid);
  for (let depth = 0; parent > 0 && depth < MAX_DEPTH; depth++) {
    if (parent === ancestor) return true;
    parent = parentOf(parent);
  }
  return false;
}

function auxiliaryVector(pid: number): Map<bigint, bigint> {
  try {
    const bytes = Deno.readFileSync(`/proc/${pid}/auxv`);
    const words = new BigUint64Array(bytes.buffer, 0, Math.floor(bytes.length / 8));
    const entries = new Map<bigint, bigint>();
    for (let at = 0; at + 1 < words.length; at += 2) {
      entries.set(words[at] ?? 0n, words[at + 1] ?? 0n);
    }
    return entries;
  } catch {
    return new Map();
  }
}

/** 0 for none that can be seen: of the first process, and of one that has ended. */
function parentOf(pid: number): number {
  try {
    const status = Deno.readTextFileSync(`/proc/${pid}/status`);
    return Number(/^PPid:\s*(\d+)$/m.exec(status)?.[1] ?? 0);
  } catch {
    return 0;
  }
}
