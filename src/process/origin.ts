/**
 * How a process came to be, by what the kernel has noted of it (proc(5)): an environment can be made up by anybody.
 * @module
 */

/** Entries of the auxiliary vector (linux/auxvec.h): who executed the program, and whether it got rights by it. */
const AT_UID = 11n;
const AT_EUID = 12n;
const AT_SECURE = 23n;

/** How many parents are followed at most: more than a chain on any machine has. */
const MAX_DEPTH = 1000;

/**
 * Whether the program that a process runs was executed by one of these users, and got no rights by that which
 * they do not have, as a set-uid program does. Which user the process has become since does not matter. The
 * kernel notes this at each execve. A process can overwrite its own notes (prctl(2), PR_SET_MM), but gains
 * nothing by it: a program that has more rights than whoever executed it begins with new ones.
 * @returns false also for a process that has ended, that we may not look at, or that is in another user namespace
 */
export function isExecutedBy(users: readonly number[], pid: number): boolean {
  const entries = auxiliaryVector(pid);
  const isOne = (key: bigint) => users.includes(Number(entries.get(key) ?? -1n));
  return isOne(AT_UID) && isOne(AT_EUID) && entries.get(AT_SECURE) === 0n &&
    userNamespace(String(pid)) === userNamespace("self");
}

/** The user namespace of a process, empty when it cannot be read. In one of his own, anybody can be noted as root. */
function userNamespace(process: string): string {
  try {
    return Deno.readLinkSync(`/proc/${process}/ns/user`);
  } catch {
    return "";
  }
}

/**
 * Whether a process descends from another. A process whose parent ends becomes another's child at that moment: so
 * an ancestor that is found is alive, and its pid has not been used again.
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

/** The pid of a process's parent; 0 for the first process, and for one that has ended. */
function parentOf(pid: number): number {
  try {
    const status = Deno.readTextFileSync(`/proc/${pid}/status`);
    return Number(/^PPid:\s*(\d+)$/m.exec(status)?.[1] ?? 0);
  } catch {
    return 0;
  }
}
